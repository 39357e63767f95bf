-- registry: changes a record if what is expected of it holds.
--
-- reads:   KEYS table, canary; ARGV run id, verb, key, value, expected version ('' for any, 0 for
--          none)
-- replies: put: the new version, or '' if the expectation does not hold; delete: '1' or '0'
-- moves:   nothing
local before = redis.call('HGET', KEYS[1], ARGV[3])
if ARGV[2] == 'delete' then
  return tostring(redis.call('HDEL', KEYS[1], ARGV[3]))
end
local version = before and string.match(before, '^(%d+)|') or '0'
if ARGV[5] ~= '' and ARGV[5] ~= version then return '' end
local new = string.format('%.0f', tonumber(version) + 1)
redis.call('HSET', KEYS[1], ARGV[3], new .. '|' .. ARGV[4])
return new
