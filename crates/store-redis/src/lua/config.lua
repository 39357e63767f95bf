-- config: what every process must agree on, written once.
--
-- reads:   KEYS config, canary; ARGV run id, form, partitions, installation id, newest epoch known
-- replies: form, partitions, installation id, newest epoch ever seen in any partition, and 1 while
--          an import is under way
-- moves:   nothing; makes what is missing and raises the epoch
local known = redis.call('HMGET', KEYS[1], 'schema', 'partitions', 'installation', 'epoch', 'importing')
local epoch = math.max(tonumber(known[4] or '0') or 0, tonumber(ARGV[5]))
local values = {
  known[1] or ARGV[2], known[2] or ARGV[3], known[3] or ARGV[4], string.format('%.0f', epoch),
}
if not (known[1] and known[2] and known[3] and known[4] == values[4]) then
  redis.call('HSET', KEYS[1], 'schema', values[1], 'partitions', values[2],
    'installation', values[3], 'epoch', values[4])
end
values[5] = known[5] or ''
return values
