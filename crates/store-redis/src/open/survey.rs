//! What sort of servers there are: refused are old ones, replicas and proxies.

use redis::{Pipeline, Value, cmd};

use super::OpenError;
use super::info::Info;
use crate::durability::{self, Standing};
use crate::router::Router;
use crate::url::RedisUrl;

/// Asks every master what it is.
pub(super) async fn survey(router: &Router, url: &RedisUrl) -> Result<Vec<Standing>, OpenError> {
    let url = url.to_string();
    let mut asked = Pipeline::new();
    for question in durability::questions().cmd_iter() {
        asked.add_command(question.clone());
    }
    // A second time: behind some proxies another process answers.
    asked.add_command(cmd("INFO").arg("server").clone());
    let mut standings = Vec::new();
    for (addr, answer) in router.ask_masters(&asked).await {
        let replies = answer.map_err(|why| OpenError::Unreachable { url: url.clone(), why })?;
        if let Some(Value::ServerError(error)) = replies.first() {
            let commands = format!("INFO ({})", crate::errors::words(error));
            return Err(OpenError::Rights { commands });
        }
        let info = replies.first().map(Info::of).unwrap_or_default();
        let (server, new_enough) = info.version();
        if !new_enough {
            return Err(OpenError::TooOld { url, server });
        }
        let again = replies.last().map(Info::of).unwrap_or_default();
        if info.get("run_id").is_empty() || info.get("run_id") != again.get("run_id") {
            return Err(OpenError::Proxy { url });
        }
        if info.get("role") != "master" {
            let master = format!("{}:{}", info.get("master_host"), info.get("master_port"));
            return Err(OpenError::Replica { url, master });
        }
        standings.push(durability::standing(&addr, &replies));
    }
    Ok(standings)
}
