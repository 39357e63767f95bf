//! Whether the Redis user may do what the store needs: asked of the servers themselves, by doing
//! each thing once on a key of no meaning. Without this a missing right would show as a failing
//! call at some later time.

use redis::{Pipeline, Value, cmd};
use tasktonic_store::Error;

use super::info::text_of;
use super::{OpenError, items_of};
use crate::errors::words;
use crate::keys;
use crate::router::{Place, Router};

/// Every command of the scripts, with words that do no harm to an empty key. Each is tried inside a
/// script, where rights are checked as well; the key is removed before and after.
const TRIED: &str = r"
local key, lacking = KEYS[1], {}
local function try(name, ...)
  redis.pcall('DEL', key)
  local reply = redis.pcall(name, ...)
  if type(reply) == 'table' and reply.err and
      (string.find(reply.err, 'NOPERM', 1, true) or string.find(reply.err, 'permission', 1, true)
        or string.find(reply.err, 'can\'t run this command', 1, true)
        or string.find(reply.err, 'can\'t access', 1, true)) then
    lacking[#lacking + 1] = name
  end
end
try('TIME')
try('GET', key) try('SET', key, '') try('MGET', key) try('MSET', key, '') try('MSETNX', key, '')
try('DEL', key) try('UNLINK', key) try('EXISTS', key)
try('HGET', key, 'f') try('HMGET', key, 'f') try('HSET', key, 'f', '') try('HDEL', key, 'f')
try('HGETALL', key) try('HLEN', key) try('HSCAN', key, '0')
try('RPUSH', key, '') try('LPUSH', key, '') try('LPOP', key) try('RPOP', key) try('LLEN', key)
try('LRANGE', key, 0, 0) try('LINDEX', key, 0) try('LREM', key, 0, '') try('LTRIM', key, 0, 0)
try('LSET', key, 0, '') try('LPOS', key, '') try('LMOVE', key, key, 'LEFT', 'RIGHT')
try('SADD', key, '') try('SREM', key, '') try('SCARD', key) try('SISMEMBER', key, '')
try('SMISMEMBER', key, '') try('SMEMBERS', key) try('SSCAN', key, '0')
try('ZADD', key, 0, '') try('ZREM', key, '') try('ZCARD', key) try('ZSCORE', key, '')
try('ZMSCORE', key, '') try('ZRANGE', key, 0, 0) try('ZPOPMIN', key) try('ZREMRANGEBYLEX', key, '[a', '[a') try('ZSCAN', key, '0')
try('XADD', key, '*', 'f', '') try('XRANGE', key, '-', '+') try('XREVRANGE', key, '+', '-')
try('XLEN', key) try('XTRIM', key, 'MAXLEN', 0) try('XINFO', 'STREAM', key)
try('SPUBLISH', key, '') try('PUBSUB', 'SHARDNUMSUB', key)
redis.pcall('DEL', key)
return lacking
";

/// Refuses to open where a right is missing, and names all that are.
pub(super) async fn check(router: &Router) -> Result<(), OpenError> {
    let mut asked = Pipeline::new();
    asked.add_command(
        cmd("EVAL").arg(TRIED).arg(2).arg(keys::rights()).arg(keys::system_canary()).clone(),
    );
    let lacking = match router.commands(Place::System, &asked, true).await {
        Ok(replies) => replies,
        // A script that may not even begin: the words name what is missing.
        Err(Error::Unavailable(why)) if why.contains("NOPERM") => {
            return Err(OpenError::Rights { commands: why });
        }
        // Full memory, or a server that is just starting, says nothing about rights.
        Err(_) => return Ok(()),
    };
    let mut names: Vec<String> =
        lacking.first().map(items_of).unwrap_or_default().iter().map(text_of).collect();
    names.extend(outside(router).await);
    if names.is_empty() {
        return Ok(());
    }
    Err(OpenError::Rights { commands: names.join(", ") })
}

/// Commands that are sent by themselves and do nothing when sent so.
async fn outside(router: &Router) -> Vec<String> {
    let mut asked = Pipeline::new();
    let key = keys::rights();
    let named = [
        ("EVALSHA", cmd("EVALSHA").arg("0").arg(0).clone()),
        ("MGET", cmd("MGET").arg(&key).clone()),
        ("ZRANGE", cmd("ZRANGE").arg(&key).arg(0).arg(0).clone()),
        ("LRANGE", cmd("LRANGE").arg(&key).arg(0).arg(0).clone()),
        ("XRANGE", cmd("XRANGE").arg(&key).arg("-").arg("+").clone()),
        ("SCAN", cmd("SCAN").arg(0).arg("COUNT").arg(1).clone()),
        ("SPUBLISH", cmd("SPUBLISH").arg(&key).arg("").clone()),
        ("WAIT", cmd("WAIT").arg(0).arg(1).clone()),
    ];
    for (_, command) in &named {
        asked.add_command(command.clone());
    }
    let mut lacking = Vec::new();
    for (_, answer) in router.ask_masters(&asked).await {
        for ((name, _), reply) in named.iter().zip(answer.unwrap_or_default()) {
            let Value::ServerError(error) = reply else { continue };
            if error.code() == "NOPERM" && !lacking.contains(&(*name).to_owned()) {
                lacking.push((*name).to_owned());
                tracing::debug!(said = words(&error), "a right is missing");
            }
        }
    }
    lacking
}
