-- permits: what is granted to partitions of a limit over all users of a queue, as in `permits.rs` of
-- core.
--
-- reads:   KEYS pool, canary; ARGV run id, verb, and
--          make: version, a count and grants: partition, permits, number
--          agree: the version so far, the version from now on, a count and what partitions have
--          share: version, limit, a count and what partitions do not have any more, a count and what
--          they lack: partition, permits, the number and the permits they were seen to have
--          drop: version
-- replies: '1', or '0' where the version is another; share: then the permits and the number of each that
--          lacks some, or '' twice
-- moves:   nothing
--
-- The pool is a HASH: version, and p<partition> = permits,number.
local at = 2
local function take()
  at = at + 1
  return ARGV[at]
end
local verb, pool = ARGV[2], KEYS[1]
local function int(number) return string.format('%.0f', number) end
local function read(text)
  local n, v = string.match(text or '', '^(%d+),(%d+)$')
  return tonumber(n) or 0, tonumber(v) or 0
end
local function granted(p) return read(redis.call('HGET', pool, 'p' .. p)) end
local function grant(p, n, v) redis.call('HSET', pool, 'p' .. p, int(n) .. ',' .. int(v)) end
local version = redis.call('HGET', pool, 'version')
local asked = take()
if verb == 'make' then
  if version then return { '0' } end
  redis.call('HSET', pool, 'version', asked)
  for _ = 1, tonumber(take()) do grant(take(), tonumber(take()), tonumber(take())) end
  return { '1' }
end
if verb == 'drop' then
  if not version or tonumber(version) > tonumber(asked) then return { '0' } end
  redis.call('UNLINK', pool)
  return { '1' }
end
if version ~= asked then return { '0' } end
if verb == 'agree' then
  redis.call('HSET', pool, 'version', take())
  for _ = 1, tonumber(take()) do
    local p, n, v = take(), tonumber(take()), tonumber(take())
    local had, under = granted(p)
    if v >= under then grant(p, math.max(had, n), v) end
  end
  return { '1' }
end
local limit = tonumber(take())
for _ = 1, tonumber(take()) do
  local p, n, v = take(), tonumber(take()), tonumber(take())
  local had, under = granted(p)
  if v == under and n < had then grant(p, n, v) end
end
local sum = 0
local fields = redis.call('HGETALL', pool)
for i = 1, #fields, 2 do
  if string.match(fields[i], '^p%d+$') then sum = sum + read(fields[i + 1]) end
end
local told = { '1' }
for _ = 1, tonumber(take()) do
  local p, to, v, has = take(), tonumber(take()), tonumber(take()), tonumber(take())
  local had, under = granted(p)
  to = math.min(to, had + math.max(0, limit - sum))
  if v == under and to > has then
    local more = math.max(to, had)
    grant(p, more, v + 1)
    sum = sum + more - had
    told[#told + 1] = int(to)
    told[#told + 1] = int(v + 1)
  else
    told[#told + 1] = ''
    told[#told + 1] = ''
  end
end
return told
