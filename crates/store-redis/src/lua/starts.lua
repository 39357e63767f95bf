-- starts: what is granted to partitions of a rate over all users of a queue, as `Pool` in `starts.rs` of
-- core.
--
-- reads:   KEYS pool, canary; ARGV run id, verb, and
--          make: version, now in microseconds or '' to ask the server, what one task takes in microseconds
--          and how many at once, '1' if nothing was ever granted, a count and what partitions have:
--          partition, started, mark, number
--          agree: the version so far, now, what one task takes, how many at once, the version from now on,
--          a count and what partitions have
--          share: version, now, what one task takes, how many at once, how far ahead in microseconds, a
--          count and what partitions have, a count and what they lack: partition, starts, number
--          drop: version
-- replies: '1', or '0' where the version is another; share: then mark, number and in how many ms of each
--          that lacks some, or '' thrice
-- moves:   nothing
--
-- The pool is a HASH: version, emission (what one task takes by the rate of that version), full, and
-- p<partition> = mark,number,used,at (0 where it was granted by a former rate).
local at = 2
local function take()
  at = at + 1
  return ARGV[at]
end
local verb, pool = ARGV[2], KEYS[1]
local function int(number) return string.format('%.0f', number) end
local fields = redis.call('HGETALL', pool)
local known, grants = {}, {}
for i = 1, #fields, 2 do
  local p = string.match(fields[i], '^p(%d+)$')
  if p then
    local n, v, used, since = string.match(fields[i + 1], '^(%d+),(%d+),(%d+),(%d+)$')
    if n then
      grants[p] = { n = tonumber(n), v = tonumber(v), used = tonumber(used), at = tonumber(since) }
    end
  else
    known[fields[i]] = fields[i + 1]
  end
end
local version, asked = known.emission and known.version, take()
if verb == 'drop' then
  if not version or tonumber(version) > tonumber(asked) then return { '0' } end
  redis.call('UNLINK', pool)
  return { '1' }
end

local now = tonumber(take())
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local emission, burst = tonumber(take()), tonumber(take())
local full, written = tonumber(known.full) or 0, {}
local function write(p, grant)
  grants[p] = grant
  written[#written + 1] = 'p' .. p
  written[#written + 1] = int(grant.n) .. ',' .. int(grant.v) .. ',' .. int(grant.used) .. ',' .. int(grant.at)
end
local function in_hand(grant) return math.max(0, grant.n - grant.used) end
local function out()
  local sum = 0
  for _, grant in pairs(grants) do sum = sum + in_hand(grant) end
  return sum
end
-- Not further ahead than a burst goes: what was kept may be of another rate or another clock.
local function kept() return math.min(full, now + emission * burst) end
local function keep(text, by)
  redis.call('HSET', pool, 'version', text, 'emission', by, 'full', int(full), unpack(written))
end
-- What partitions have used, by the rate before, and have no more.
local function hear()
  for _ = 1, tonumber(take()) do
    local p, started, n, v = take(), tonumber(take()), tonumber(take()), tonumber(take())
    local grant = grants[p] or { n = 0, v = 0, used = 0, at = 0 }
    local keeps, more = math.max(n, started), 0
    if v > grant.v then
      -- Of another life: what was in its hand has started, for all that is known.
      more = in_hand(grant)
      write(p, { n = keeps, v = v, used = started, at = now })
    elseif v == grant.v then
      more = math.max(0, started - grant.used)
      if more > 0 or keeps < grant.n then
        local since = more > 0 and grant.at > 0 and math.max(grant.at, now) or grant.at
        write(p, { n = math.min(grant.n, keeps), v = v, used = grant.used + more, at = since })
      end
    end
    if more > 0 then full = math.max(full, now) + tonumber(known.emission) * more end
  end
end

if verb == 'make' then
  if version then return { '0' } end
  local is_first = take() == '1'
  for _ = 1, tonumber(take()) do
    local p, started, n, v = take(), tonumber(take()), tonumber(take()), tonumber(take())
    write(p, { n = math.max(n, started), v = v, used = started, at = now })
  end
  if not is_first then full = now + emission * math.max(0, burst - out()) end
  keep(asked, int(emission))
  return { '1' }
end

if version ~= asked then return { '0' } end
if verb == 'agree' then
  local agreed = take()
  hear()
  full = kept()
  for p, grant in pairs(grants) do
    if in_hand(grant) > 0 then write(p, { n = grant.n, v = grant.v, used = grant.used, at = 0 }) end
  end
  keep(agreed, int(emission))
  return { '1' }
end
local ahead = tonumber(take())
hear()
full = kept()

local told = { '1' }
for _ = 1, tonumber(take()) do
  local p, by, v = take(), tonumber(take()), tonumber(take())
  local grant = grants[p] or { n = 0, v = 0, used = 0, at = 0 }
  local is_to_come = in_hand(grant) > 0 and grant.at > now
  local answer = { '', '', '' }
  if grant.v == v and by > 0 and not is_to_come then
    local in_hands = out()
    local taken = math.ceil(math.max(0, kept() - now - ahead) / emission)
    local count = math.min(by, math.max(0, math.max(0, burst - taken) - in_hands))
    -- Somebody has to know when the next may start.
    if count == 0 and in_hands == 0 then count = 1 end
    if count > 0 then
      local since = math.max(now, kept() - emission * math.max(0, burst - in_hands - count))
      local mark = math.max(grant.n, grant.used) + count
      write(p, { n = mark, v = v + 1, used = grant.used, at = since })
      answer = { int(mark), int(v + 1), int(math.ceil((since - now) / 1000)) }
    end
  end
  for i = 1, 3 do told[#told + 1] = answer[i] end
end
keep(version, known.emission)
return told
