//! The template filled in.

use std::net::IpAddr;

use crate::values::{path, plain};
use crate::{AWAY, Gateway, Guard, Invalid, TEMPLATE};

/// Asks about a request; what it lets pass goes on in another location.
const GUARD: &str = r#"rewrite_by_lua_block { require("tasktonic.gateway").guard() }"#;
/// Asks about nothing.
const NO_GUARD: &str = "proxy_pass http://tt_servers;";
/// A server is left alone for so long after so many failures.
const HEALTH: &str = "max_fails=2 fail_timeout=1s";
/// Immutable files from disk. Their names carry their content's hash, so they may be kept for ever.
const FROM_DISK: &str = r#"      root "{{STATIC}}";
      rewrite ^/_next/static/(.*)$ /$1 break;
      # Folders are no files.
      try_files $uri =404;
      # Links that lead out of the folder are not followed.
      disable_symlinks on from=$document_root;
      error_page 403 404 =404 @problem;
      error_page 400 411 501 505 =400 /.tasktonic/problem;
      error_page 405 413 429 500 503 @problem;
      types {
        text/javascript js mjs;
        text/css css;
        text/plain txt;
        application/json json map;
        application/wasm wasm;
        font/woff2 woff2;
        font/woff woff;
        image/svg+xml svg;
        image/png png;
        image/jpeg jpg jpeg;
        image/webp webp;
        image/avif avif;
        image/x-icon ico;
      }
      default_type application/octet-stream;
      charset utf-8;
      charset_types text/javascript text/css text/plain;
      gzip on;
      gzip_vary on;
      gzip_min_length 1024;
      gzip_types text/javascript text/css application/json image/svg+xml;
      add_header Cache-Control "public, max-age=31536000, immutable";
      add_header X-Content-Type-Options nosniff always;"#;
/// How TLS is set up by hand.
const NO_TLS: &str = "    # With TLS: listen 443 ssl http2; and
    # ssl_certificate     /etc/tasktonic/tls/fullchain.pem;
    # ssl_certificate_key /etc/tasktonic/tls/privkey.pem;
    # ssl_protocols       TLSv1.2 TLSv1.3;";
/// TLS as browsers of today want it.
const TLS: &str = r#"    ssl_certificate     "{{CERTIFICATE}}";
    ssl_certificate_key "{{KEY}}";
    ssl_protocols       TLSv1.2 TLSv1.3;
    ssl_session_cache   shared:tt_tls:10m;
    ssl_session_timeout 1d;
    ssl_session_tickets off;
    ssl_prefer_server_ciphers off;"#;
/// How whoever stands in front is believed, by hand.
const NO_TRUST: &str =
    "  # Behind a load balancer: believe the address it names, and nobody else's.
  # set_real_ip_from 10.0.0.0/8;
  # real_ip_header X-Forwarded-For;
  # real_ip_recursive on;";
/// Whoever is believed may name the client it speaks for.
const TRUST: &str =
    "  # These, the servers of the pages among them, say whom they speak for; nobody else may.
{{NETWORKS}}
  real_ip_header X-Forwarded-For;
  real_ip_recursive on;";
/// Immutable files from whoever renders the pages.
const FROM_PAGES: &str = "      error_page 400 411 501 505 =400 /.tasktonic/problem;
      error_page 404 405 413 429 500 503 @problem;
      error_page 502 504 =502 $tt_pages_away;
      proxy_pass http://tt_pages;";

pub(crate) fn conf(gateway: &Gateway) -> Result<String, Invalid> {
    let immutable = match &gateway.static_files {
        Some(folder) => FROM_DISK.replace("{{STATIC}}", &path("the folder of files", folder)?),
        None => FROM_PAGES.to_owned(),
    };
    let user = match &gateway.user {
        Some(user) => format!("user {};", plain("the user", user)?),
        None => String::new(),
    };
    let pages = if gateway.pages.is_empty() {
        // nginx wants one; this one is never asked.
        "    server 127.0.0.1:1 down;".to_owned()
    } else {
        servers("server of pages", &gateway.pages)?
    };
    let tls = match &gateway.tls {
        Some(tls) => TLS
            .replace("{{CERTIFICATE}}", &path("the certificate", &tls.certificate)?)
            .replace("{{KEY}}", &path("the key", &tls.key)?),
        None => NO_TLS.to_owned(),
    };
    let limits = &gateway.limits;
    let values = [
        ("MODULES", path("the folder of modules", &gateway.parts.modules)?),
        ("LIBRARY", path("the library", &gateway.parts.library)?),
        ("RUN", path("the folder", &gateway.run)?),
        ("USER", user),
        ("WORKERS", gateway.workers.map_or("auto".to_owned(), |workers| workers.to_string())),
        ("DOORS", doors(&gateway.door)?),
        ("LISTEN", lines("address to listen on", &gateway.listen, "listen", "")?),
        ("TLS", tls),
        ("TRUSTED", trusted(&gateway.trusted)?),
        ("SERVERS", servers("server", &gateway.servers)?),
        ("PAGES", pages),
        ("IMMUTABLE", immutable),
        ("GUARD", if gateway.guard == Guard::On { GUARD } else { NO_GUARD }.to_owned()),
        ("USER_RATE_PER_S", limits.user_rate_per_s.to_string()),
        ("USER_BURST", limits.user_burst.to_string()),
        ("SIGN_IN_RATE_PER_MIN", limits.sign_in_rate_per_min.to_string()),
        ("SIGN_IN_BURST", limits.sign_in_burst.to_string()),
        ("SOCKETS_PER_USER", limits.sockets_per_user.to_string()),
        ("AWAY", AWAY.replace('\\', "\\\\").replace('\'', "\\'")),
    ];
    let mut conf = TEMPLATE.to_owned();
    for (name, value) in values {
        conf = conf.replace(&format!("{{{{{name}}}}}"), &value);
    }
    Ok(conf)
}

fn lines(what: &'static str, values: &[String], word: &str, rest: &str) -> Result<String, Invalid> {
    if values.is_empty() {
        return Err(Invalid::None(what));
    }
    let line = |value: &String| Ok(format!("    {word} {}{rest};", plain(what, value)?));
    Ok(values.iter().map(line).collect::<Result<Vec<_>, _>>()?.join("\n"))
}

fn servers(what: &'static str, values: &[String]) -> Result<String, Invalid> {
    lines(what, values, "server", &format!(" {HEALTH}"))
}

/// Who may name a client.
fn trusted(networks: &[String]) -> Result<String, Invalid> {
    let line = |network: &String| {
        if is_network(network) {
            Ok(format!("  set_real_ip_from {network};"))
        } else {
            Err(Invalid::Network(network.clone()))
        }
    };
    match networks {
        [] => Ok(NO_TRUST.to_owned()),
        _ => {
            let lines = networks.iter().map(line).collect::<Result<Vec<_>, _>>()?;
            Ok(TRUST.replace("{{NETWORKS}}", &lines.join("\n")))
        }
    }
}

/// An address, or one with the number of its bits that count.
fn is_network(text: &str) -> bool {
    let (address, bits) = text.split_once('/').map_or((text, None), |(a, bits)| (a, Some(bits)));
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let bits_max: u8 = if address.is_ipv4() { 32 } else { 128 };
    bits.is_none_or(|bits| {
        bits.parse::<u8>().is_ok_and(|count| count <= bits_max && count.to_string() == bits)
    })
}

/// The places of the door document, as a list in Lua.
fn doors(values: &[String]) -> Result<String, Invalid> {
    if values.is_empty() {
        return Err(Invalid::None("place of the door document"));
    }
    let one = |value: &String| {
        let value = plain("the place", value)?;
        if value.strip_prefix("unix:").is_some_and(|path| path.starts_with('/')) {
            return Ok(format!("{{ \"{value}\" }}"));
        }
        let (host, port) = value.rsplit_once(':').ok_or(Invalid::Door(value.clone()))?;
        match port.parse::<u16>() {
            Ok(port) if !host.is_empty() => Ok(format!("{{ \"{host}\", {port} }}")),
            _ => Err(Invalid::Door(value.clone())),
        }
    };
    Ok(values.iter().map(one).collect::<Result<Vec<_>, _>>()?.join(", "))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::Parts;

    fn gateway() -> Gateway {
        let parts = Parts {
            nginx: "/usr/sbin/nginx".into(),
            modules: "/usr/lib/nginx/modules".into(),
            library: "/usr/lib/tasktonic/libtasktonic_gateway.so".into(),
        };
        let mut gateway = Gateway::new(parts, "/run/tasktonic gateway".as_ref());
        gateway.listen = vec!["127.0.0.1:8080".to_owned(), "[::]:443 ssl http2".to_owned()];
        gateway.servers = vec!["127.0.0.1:7001".to_owned(), "tasks.internal:7002".to_owned()];
        gateway.door = vec!["unix:/run/a.sock".to_owned(), "[::1]:9000".to_owned()];
        gateway
    }

    #[test]
    fn every_word_is_filled_in() {
        let mut gateway = gateway();
        for static_files in [None, Some(PathBuf::from("/srv/static"))] {
            gateway.static_files = static_files;
            let conf = gateway.render().unwrap();
            // Two braces together are those of a list in Lua, and never hold a word in capitals.
            let left = conf.split("{{").skip(1).find(|rest| rest.starts_with(char::is_uppercase));
            assert_eq!(left, None);
            assert!(conf.contains("pid \"/run/tasktonic gateway/nginx.pid\";"), "{conf}");
            assert!(conf.contains("listen [::]:443 ssl http2;"));
            assert!(conf.contains("server tasks.internal:7002 max_fails=2 fail_timeout=1s;"));
            assert!(conf.contains("{ { \"unix:/run/a.sock\" }, { \"[::1]\", 9000 } }"), "{conf}");
        }
    }

    #[test]
    fn nothing_that_means_something_to_nginx_gets_in() {
        type Change = fn(&mut Gateway, &str);
        let changes: [Change; 6] = [
            |gateway, text| gateway.run = text.into(),
            |gateway, text| gateway.listen = vec![text.to_owned()],
            |gateway, text| gateway.servers = vec![text.to_owned()],
            |gateway, text| gateway.pages = vec![text.to_owned()],
            |gateway, text| gateway.static_files = Some(text.into()),
            |gateway, text| gateway.user = Some(text.to_owned()),
        ];
        for text in ["/a;b", "/a{", "/a}", "/a\"", "/a'", "/a\\", "/$a", "/a\nb", "/a?"] {
            for change in changes {
                let mut gateway = gateway();
                change(&mut gateway, text);
                let wrong = gateway.render().unwrap_err();
                assert!(matches!(wrong, Invalid::Text { .. }), "{text:?}: {wrong}");
            }
        }
    }

    #[test]
    fn nobody_names_a_client_but_those_who_are_trusted() {
        let mut gateway = gateway();
        let says = |gateway: &Gateway| {
            let conf = gateway.render().unwrap();
            let lines = conf.lines().map(str::trim).filter(|line| !line.starts_with('#'));
            lines.filter(|line| line.contains("real_ip")).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(says(&gateway), Vec::<String>::new());
        gateway.trusted = vec!["127.0.0.1".to_owned(), "fd00::/8".to_owned()];
        assert_eq!(
            says(&gateway),
            [
                "set_real_ip_from 127.0.0.1;",
                "set_real_ip_from fd00::/8;",
                "real_ip_header X-Forwarded-For;",
                "real_ip_recursive on;"
            ]
        );
        for wrong in
            ["", "all", "10.0.0.0/33", "10.0.0.0/+8", "::1/129", "10.0.0.1; deny all", "unix:"]
        {
            gateway.trusted = vec![wrong.to_owned()];
            assert_eq!(gateway.render().unwrap_err(), Invalid::Network(wrong.to_owned()));
        }
    }

    #[test]
    fn what_is_missing_or_no_place_is_said() {
        let mut without = gateway();
        without.servers.clear();
        assert_eq!(
            without.render().unwrap_err().to_string(),
            "the gateway needs at least one server"
        );
        for door in ["unix:relative", "9000", ":9000", "localhost:no", "localhost"] {
            let mut gateway = gateway();
            gateway.door = vec![door.to_owned()];
            assert_eq!(gateway.render().unwrap_err(), Invalid::Door(door.to_owned()), "{door}");
        }
    }
}
