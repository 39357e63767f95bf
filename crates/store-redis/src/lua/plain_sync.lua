-- plain_sync: tasks that go on or were completed, and the next claim, where nothing is set of the queues
-- and maintenance is not due.
--
-- reads:   what sync reads
-- replies: what sync replies, or nothing: then others go on with what was taken, see `handed`
-- moves:   running -> completed, queued -> running
--
-- What a call does, `c`: ops how many operations, renews how many of them are no ends, settled whether
-- they are written down; users and user_of whose tasks end or start, see plain; puts what is written,
-- passing what is only told, by users, swept what is listed for the sweep, leases and claimed what is
-- given, and count how many; wanted how many names are read next.

local TOKEN = '^([^|]+)|([^|]+)|([^|]+)|(%d+)|(%d+)|'
local RUNS = '^{"s":"running","c":(%d+),"n":(%d+),"at":%-?%d+,"a":%d'
local WAITS = '^{"s":"queued","c":(%d+),"n":(%d+),"at":%-?%d+,"a":%d'
-- Words of an operation: an end, progress, or a heartbeat.
local WORDS = { e = 7, p = 4, h = 2 }
-- Operations: verb, user, task, attempt and claim number of each, where its words begin, and where the
-- state is among what is read; and what is picked: user, task, attempt, claim number, and where its state
-- and descriptor are. Kept from call to call, so that they need not grow.
local OPS, PICKS, NAMES = {}, {}, {}
local PER_OP, PER_PICK = 7, 5

-- Whether nothing is in use in the partition that a plain call knows nothing of, and maintenance is not
-- due. What is closed matters for queues that were not asked of: for what the worker was woken, from
-- ARGV[at] on.
local function is_plain(facts, at, asked)
  if not V.is_none(facts[CLOSED_AT]) then
    for i = at + 1, at + tonumber(ARGV[at]) do
      if not asked[ARGV[i]] then return false end
    end
  end
  if facts[BEHIND_AT] == '1' or facts[SERIAL_AT] == '1' then return false end
  for i = 1, #COUNTED do
    if not V.is_none(facts[COUNTED[i]]) then return false end
  end
  local since = now() - M.mt
  return since >= 0 and since < MAINTENANCE_MS
end

-- Takes tasks of a queue in turn, up to `need` of them: users and entries, one after the other.
-- Nothing where there are no turns.
local function take_turns(queue, need)
  local ring, tail, picked = N.ring(queue), ':q:' .. queue, {}
  if need == 1 then
    local user = call('LMOVE', ring, ring, 'LEFT', 'RIGHT')
    if not user then return nil end
    local name = B .. 'u:' .. user .. tail
    local entry = call('LPOP', name)
    if not entry or call('LLEN', name) == 0 then call('RPOP', ring) end
    if entry then picked[1], picked[2] = user, entry end
    return picked
  end
  local users = call('LPOP', ring, int(need))
  if not users then return nil end
  local turn, served, names = math.floor(need / #users), {}, {}
  for i = 1, #users do
    local user = users[i]
    local name = B .. 'u:' .. user .. tail
    local entries = call('LPOP', name, int(turn))
    if entries then
      for j = 1, #entries do
        picked[#picked + 1] = user
        picked[#picked + 1] = entries[j]
      end
      -- One that gave less than it was asked for is empty and leaves the ring.
      if #entries == turn then
        served[#served + 1] = user
        names[#names + 1] = name
      end
    end
  end
  if #names > 0 then
    local open = call('EXISTS', unpack(names))
    if open > 0 then
      if open < #names then
        local found, back = V.which_exist(names), {}
        for i = 1, #served do
          if found[i] then back[#back + 1] = served[i] end
        end
        served = back
      end
      call('RPUSH', ring, unpack(served))
    end
  end
  return picked
end

-- The operations of the call, and the fields of `meta` that say what is set of their queues: how many,
-- how many of them are ends, and where the next word is. Nothing where one is not plain.
local function read_ops(fields, asked)
  local args, ops, ends, at = ARGV, tonumber(ARGV[6]), 0, 7
  for i = 1, ops do
    local verb, token = args[at], args[at + 1]
    local words = WORDS[verb]
    -- Of what is said twice of a task the second may be refused.
    if not words or asked[token] then return nil end
    if verb == 'e' then
      if args[at + 2] ~= 'completed' then return nil end
      ends = ends + 1
    end
    local queue, user, task, attempt, claim = match(token, TOKEN)
    if not queue then return nil end
    asked[token] = true
    local to = (i - 1) * PER_OP
    OPS[to + 1], OPS[to + 2], OPS[to + 3], OPS[to + 4], OPS[to + 5], OPS[to + 6] =
      verb, user, task, attempt, claim, at
    if not asked[queue] then
      asked[queue] = true
      fields[#fields + 1] = 'q:' .. queue
    end
    at = at + words
  end
  return ops, ends, at
end

-- Lets go of the leases of what ended: which of all were held. Nothing, and nothing done, where it is not
-- simply all.
local function let_go(ops, ends)
  local args, held = ARGV, {}
  if ops == 1 and ends == 1 then
    held[1] = call('ZREM', LEASES, args[8]) == 1
  elseif ops > 0 then
    local tokens = {}
    local over = ends < ops and {} or tokens
    for i = 1, ops do
      local to = (i - 1) * PER_OP
      local token = args[OPS[to + 6] + 1]
      tokens[i], held[i] = token, true
      if ends < ops and OPS[to + 1] == 'e' then over[#over + 1] = token end
    end
    local scores = call('ZMSCORE', LEASES, unpack(tokens))
    for i = 1, ops do
      if not scores[i] then return nil end
    end
    if ends > 0 then call('ZREM', LEASES, unpack(over)) end
  end
  return held
end

-- Asks for the tally of a user with what is read next, if it is not known.
local function want_user(c, user)
  local u = c.user_of[user]
  if not u then
    u = V.plain_user(user)
    c.user_of[user] = u
    c.users[#c.users + 1] = u
    c.wanted = c.wanted + 1
    NAMES[c.wanted] = u.U .. 'n'
    u.at = c.wanted
  end
  return u
end

local function want_ops(c)
  for i = 1, c.ops do
    local to = (i - 1) * PER_OP
    local verb, user, task = OPS[to + 1], OPS[to + 2], OPS[to + 3]
    if verb ~= 'h' then
      -- Progress counts nothing.
      local prefix = verb == 'e' and want_user(c, user).U or N.user(user)
      local place = c.wanted + 1
      NAMES[place] = prefix .. 't:' .. task
      OPS[to + 7], c.wanted = place, place
    end
  end
end

-- Whether all entries are some.
local function want_picked(c, picked)
  local to = 0
  for i = 1, #picked, 2 do
    local user = picked[i]
    local task, attempt, claim = match(picked[i + 1], '^([^:]+):(%d+):(%d+)%f[:%z]')
    if not task then return false end
    local u = want_user(c, user)
    local place = c.wanted + 1
    NAMES[place], NAMES[place + 1] = u.U .. 't:' .. task, u.U .. 'd:' .. task
    PICKS[to + 1], PICKS[to + 2], PICKS[to + 3], PICKS[to + 4] = user, task, attempt, claim
    PICKS[to + 5], c.wanted = place, place + 1
    to = to + PER_PICK
  end
  return true
end

-- The count of writes on a claim, a text, after what is known of its task; nothing where that does not run.
local function counted(text, claim, said)
  local known, n = match(text or '', RUNS)
  if not known then return nil end
  n, said = known == claim and read(n) + 1 or 1, read(said)
  if said > n then n = said end
  return int(n > N_MAX and N_MAX or n)
end

-- Writes down how far a task is, and has its user told; whether it runs.
local function go_on(c, values, to)
  local user, task, attempt, claim, at, place = unpack(OPS, to + 2, to + PER_OP)
  local token, body = ARGV[at + 1], ARGV[at + 3]
  local number = counted(values[place], claim, ARGV[at + 2])
  if not number then return false end
  local text = '"s":"running","c":' .. claim .. ',"n":' .. number .. ',"at":' .. c.time .. ',"a":' .. attempt
    .. ',"w":"' .. match(token, '[^|]*$') .. '"' .. (body == '' and '' or ',') .. body .. '}'
  local puts, passing = c.puts, c.passing
  puts[#puts + 1] = NAMES[place]
  puts[#puts + 1] = '{' .. text
  passing[#passing + 1] = user
  passing[#passing + 1] = '{"t":"' .. task .. '",' .. text
  return true
end

-- Writes down what ended; whether it ran.
local function finish(c, values, to)
  local args, user, task, attempt, claim, at, place = ARGV, unpack(OPS, to + 2, to + PER_OP)
  local body, event, keep = args[at + 4], args[at + 5], args[at + 6]
  local number = counted(values[place], claim, args[at + 3])
  if not number then return false end
  event = event == '' and body or string.sub(event, 2)
  -- Both texts are joined of their parts: a part of several would be a text more to make.
  local time, comma, u, puts = c.time, body == '' and '' or ',', c.user_of[user], c.puts
  local text = '{"s":"completed","c":' .. claim .. ',"n":' .. number .. ',"at":' .. time .. ',"a":' .. attempt
    .. comma .. body .. '}'
  comma = event == '' and '' or ','
  V.note(u, '{"t":"' .. task .. '","s":"completed","c":' .. claim .. ',"n":' .. number .. ',"at":' .. time
    .. ',"a":' .. attempt .. comma .. event .. '}')
  u.running, u.completed, u.bytes = u.running - 1, u.completed + 1, u.bytes + #text
  puts[#puts + 1] = NAMES[place]
  puts[#puts + 1] = text
  local entry = user .. ',' .. task .. ',' .. claim .. ',' .. time
  local list = c.swept[keep]
  if list then list[#list + 1] = entry else c.swept[keep] = { entry } end
  return true
end

-- Writes down what was said of tasks; whether all of them ran.
local function settle(c, values)
  for i = 1, c.ops do
    local to = (i - 1) * PER_OP
    local verb = OPS[to + 1]
    if verb == 'e' then
      if not finish(c, values, to) then return false end
    elseif verb == 'p' and not go_on(c, values, to) then
      return false
    end
  end
  return true
end

-- Hands out what was picked in a queue; whether all of it waits for a worker.
local function hand_out(c, queue, count, values)
  local holder, puts, leases, claimed = c.holder, c.puts, c.leases, c.claimed
  for i = 1, count do
    local to = (i - 1) * PER_PICK
    local user, task, attempt, claim, place = unpack(PICKS, to + 1, to + PER_PICK)
    local raw, descriptor, n = values[place], values[place + 1], 1
    if raw then
      local known, before = match(raw, WAITS)
      if known ~= claim then return false end
      n = read(before) + 1
    elseif claim ~= '1' then
      return false
    end
    if not descriptor then return false end
    local number, time = int(n), c.time
    local token = queue .. '|' .. user .. '|' .. task .. '|' .. attempt .. '|' .. claim .. '|' .. holder
    local text = '{"s":"running","c":' .. claim .. ',"n":' .. number .. ',"at":' .. time .. ',"a":' .. attempt
      .. ',"w":"' .. holder .. '"}'
    local u, last = c.user_of[user], c.count * 4
    V.note(u, '{"t":"' .. task .. '","s":"running","c":' .. claim .. ',"n":' .. number .. ',"at":' .. time
      .. ',"a":' .. attempt .. ',"w":"' .. holder .. '"}')
    u.queued, u.running = u.queued - 1, u.running + 1
    puts[#puts + 1] = NAMES[place]
    puts[#puts + 1] = text
    leases[#leases + 1] = c.deadline
    leases[#leases + 1] = token
    claimed[last + 1], claimed[last + 2], claimed[last + 3], claimed[last + 4] = token, n, descriptor, text
    c.count = c.count + 1
  end
  return true
end

-- Settles what was said, the first time, and hands out what was picked; whether nothing unusual was met.
local function deal(c, queue, picked)
  local known, count = #c.users, #picked / 2
  c.wanted = 0
  if not c.settled then want_ops(c) end
  if not want_picked(c, picked) then return false end
  if c.wanted == 0 then return true end
  local values = call('MGET', unpack(NAMES, 1, c.wanted))
  for i = known + 1, #c.users do
    local u = c.users[i]
    V.learn_tally(u, values[u.at])
  end
  if not (c.settled or settle(c, values)) then return false end
  c.settled = true
  return hand_out(c, queue, count, values)
end

-- Writes what was dealt.
local function keep(c, facts)
  local puts, leases = c.puts, c.leases
  if c.renews > 0 then
    for i = 1, c.ops do
      local to = (i - 1) * PER_OP
      if OPS[to + 1] ~= 'e' then
        leases[#leases + 1] = c.deadline
        leases[#leases + 1] = ARGV[OPS[to + 6] + 1]
      end
    end
    -- A late message never shortens a lease; those that are given are new.
    call('ZADD', LEASES, 'GT', unpack(leases))
  elseif #leases > 0 then
    call('ZADD', LEASES, unpack(leases))
  end
  for i = 1, #c.users do
    local u = c.users[i]
    puts[#puts + 1] = u.U .. 'n'
    puts[#puts + 1] = V.spell_user(u)
  end
  for from = 1, #puts, UNPACK_MAX do
    call('MSET', unpack(puts, from, math.min(from + UNPACK_MAX - 1, #puts)))
  end
  local keeps = facts[KEEPS_AT] or ''
  for keep_s, entries in pairs(c.swept) do
    call('RPUSH', N.sweep(keep_s), unpack(entries))
    if not string.find(' ' .. keeps .. ' ', ' ' .. keep_s .. ' ', 1, true) then
      keeps = keeps == '' and keep_s or keeps .. ' ' .. keep_s
      call('HSET', META, 'keeps', keeps)
    end
  end
  V.tell_users(c.users)
  local passing = c.passing
  for i = 1, #passing, 2 do call('SPUBLISH', N.channel(passing[i]), passing[i + 1]) end
end

-- Leaves the call to the others, with what was taken.
local function leave(held, rounds)
  handed = { held = held, rounds = rounds }
  return nil
end

function V.plain()
  local args, fields, asked = ARGV, {}, {}
  local ops, ends, at = read_ops(fields, asked)
  if not ops then return nil end
  local limit, queues, places, park = 0, {}, {}, false
  local claims = args[at]
  if claims ~= '' then
    limit = tonumber(args[at + 1])
    for i = 1, tonumber(args[at + 2]) do
      local queue = args[at + 2 + i]
      queues[i] = queue
      if not asked[queue] then
        asked[queue] = true
        fields[#fields + 1] = 'q:' .. queue
      end
    end
    at = at + 3 + #queues
    if claims == '2' then
      for i = 1, #queues do places[i] = read(args[at + i - 1]) end
      at = at + #queues
    end
    park = args[at] == '1'
  end
  -- Behind it stands for what the worker was woken.
  local facts = V.look(fields)
  if not facts or not is_plain(facts, at + 1, asked) then return nil end
  local held = let_go(ops, ends)
  if not held then return nil end

  local refused, renews = {}, ops - ends
  if ops == 1 and not held[1] then refused, ops = { 0 }, 0 end
  local lt = lease_time()
  local c = {
    ops = ops, renews = renews, settled = ops == 0, wanted = 0, users = {}, user_of = {}, puts = {},
    passing = {}, swept = {}, leases = {}, claimed = {}, count = 0, time = int(now()),
    deadline = int(lt + args[5]), holder = args[3] .. '.' .. args[4],
  }
  local rounds, looks, left = {}, CLAIM_LOOKS_MAX, limit
  for i = 1, #queues do
    local queue, each, before = queues[i], places[i] or 1, c.count
    while true do
      local need = math.min(math.floor(left / each), CLAIM_MAX - c.count, looks)
      local picked = need > 0 and take_turns(queue, need)
      if not picked then break end
      looks = math.max(0, looks - math.max(1, #picked / 2))
      rounds[#rounds + 1] = { queue = queue, picked = picked }
      if not deal(c, queue, picked) then return leave(held, rounds) end
      left = left - each * #picked / 2
    end
    -- Whether somebody's turn stops the claim, pick says.
    if left > 0 and left < each and c.count == before and call('EXISTS', N.ring(queue)) == 1 then
      return leave(held, rounds)
    end
  end
  if not c.settled and not deal(c, '', {}) then return leave(held, rounds) end
  keep(c, facts)
  if park and c.count == 0 then V.park(queues, args[3]) end
  V.pass_on(at + 1)
  local more = 0
  if looks == 0 and left > 0 then
    for i = 1, #queues do more = more + call('LLEN', N.ring(queues[i])) end
  end
  return V.answer(refused, {}, {}, c.claimed, c.count, more, false, 0)
end
