-- meta: the facts of a partition, which must exist before any other script runs there.
--
-- reads:   KEYS meta, canary; ARGV run id, now in ms or '', form, partitions, epoch of a new one,
--          a usual lease in ms
-- replies: form, partitions, epoch, and 1 where it had to be made
-- moves:   nothing
local known = redis.call('HMGET', KEYS[1], 'schema', 'partitions', 'epoch')
if known[1] then
  return { known[1], known[2] or ARGV[4], known[3] or '0', '0' }
end
local base = string.sub(KEYS[1], 1, -5)
-- Lease time goes on a usual lease before the first end of a lease: who lives can still renew.
local lt, mt = 0, '0'
local first = redis.call('ZRANGE', base .. 'leases', 0, 0, 'WITHSCORES')
if first[2] then lt = math.max(0, math.floor(tonumber(first[2])) - tonumber(ARGV[6])) end
-- A first start is not a restart: no time has passed over anybody.
if tonumber(ARGV[5]) > 1 then
  mt = ARGV[2]
  if mt == '' then
    local time = redis.call('TIME')
    mt = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
  end
end
-- Whether tasks have serial keys or priorities nobody knows: then they may.
if tonumber(ARGV[5]) > 1 then redis.call('HSET', KEYS[1], 'sk', '1', 'pr', '*') end
-- What only the lost facts knew must be searched: see R.g and R.w of the script repair.
if tonumber(ARGV[5]) > 1 then redis.call('HSET', KEYS[1], 'search', '1') end
redis.call('HSET', KEYS[1], 'schema', ARGV[3], 'partitions', ARGV[4], 'epoch', ARGV[5],
  'run', ARGV[1], 'lt', string.format('%.0f', lt), 'mt', mt,
  'cx', redis.call('SCARD', base .. 'cancels'), 'ex', redis.call('ZCARD', base .. 'unstarted'),
  'fl', redis.call('SCARD', base .. 'nodes'), 'ld', redis.call('LLEN', base .. 'leads'),
  'paused', redis.call('HLEN', base .. 'paused'), 'th', redis.call('ZCARD', base .. 'throttled'))
return { ARGV[3], ARGV[4], ARGV[5], '1' }
