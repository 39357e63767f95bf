-- plain_submit: tasks that may start at once, without priorities, times and serial keys, where nothing is
-- set of their users and queues. Nobody has the keys of theirs yet, so that their modes make no difference.
--
-- reads:   what submit reads
-- replies: what submit replies, or nothing: then nothing was done
-- moves:   nothing -> queued
--
-- Of a user, beside what plain says: at where the tally is among what is read; held how many bytes their
-- tasks held before, and most how many they may where that is set of them.
-- A lane of such a call: u its user, queue, of both as `meta` names them, name of its list; most how many
-- may wait there, and said the same as it was last said; n what goes there, at its places 1 to n, and
-- length what there is then.

-- Tasks of one call, and the words of one: without a key, and what a key adds.
local TASKS_MAX, WORDS, KEY_WORDS = 128, 13, 3
-- The lane of each task, and where its descriptor is among the names that are read; behind it is what
-- its key stands for. Kept from call to call, so that they need not grow.
local LANES, PLACES, NAMES = {}, {}, {}

-- How many more calls read all of `meta` at once, by its name, after one was left to the others, which
-- then need not read again. It decides nothing but what is read first.
local LEFT, LEFT_CALLS = {}, 8
-- Fields of `meta` that a call reads which expects to be plain.
local FEW = 4

-- Leaves the call to the others; those that follow are expected to go there too.
local function leave()
  LEFT[META] = LEFT_CALLS
  return nil
end

-- Reads of `meta` what is needed, and `more`; whether it says nothing unusual.
local function look(more)
  local left = LEFT[META]
  if left then
    LEFT[META] = left > 1 and left - 1 or nil
    if V.look(more) then return true end
    return leave()
  end
  local facts = call('HMGET', META, 'schema', 'run', 'pr', 'epoch', unpack(more))
  local schema, run, priorities, epoch = unpack(facts, 1, FEW)
  if not V.says_nothing(schema, run, priorities, facts, FEW) then return leave() end
  -- Of what is asked nothing is closed.
  M = { epoch = read(epoch) or 1, closed = 0 }
  return true
end

-- Takes off again what was pushed to the first of these lanes, which nobody has seen.
local function pull(lanes, count)
  for i = 1, count do call('RPOP', lanes[i].name, int(lanes[i].n)) end
end

-- Lanes that were empty enter their rings, in the order of their first tasks.
local function enter_rings(lanes)
  local users, order, ringed
  for i = 1, #lanes do
    local lane = lanes[i]
    if lane.length == lane.n then
      if not users then users, order, ringed = {}, {}, {} end
      local list = users[lane.queue]
      if list then
        list[#list + 1] = lane.u.name
      else
        users[lane.queue] = { lane.u.name }
        order[#order + 1] = lane.queue
      end
      ringed[#ringed + 1] = lane.queue
    end
  end
  if not users then return end
  for i = 1, #order do call('RPUSH', N.ring(order[i]), unpack(users[order[i]])) end
  V.wake_for(ringed)
end

-- Writes what keys stand for: for each its name, and before which word those of its task are.
local function keep_keys(keyed)
  local args, ttl, over, life = ARGV, nil, nil, nil
  for i = 1, #keyed, 2 do
    local at = keyed[i + 1]
    if args[at + 13] ~= ttl then
      ttl = args[at + 13]
      over, life = V.key_dates(ttl)
    end
    V.keep_key(keyed[i], args[at + 1], args[at + 12], args[at + 2], over, life)
  end
end

-- The tasks of the call: lanes and users in the order of their first ones, and how many names are to be
-- read. Nothing where one is not plain.
local function read_tasks(first, total)
  local args, lanes, users, at, asked = ARGV, {}, {}, first, 0
  -- Nearly always all are of one lane.
  local lane, lane_of, user_of
  for i = 1, total do
    -- Without a key the serial key stands where its hash would.
    local user, task, queue, due, _, _, _, most, _, priority, expires, key, serial, _, mode, behind =
      unpack(args, at, at + WORDS + KEY_WORDS - 1)
    if due ~= '' or priority ~= '' or expires ~= '' then return nil end
    local has_key = key ~= ''
    if has_key then
      -- More words follow.
      if mode == 'r' then return nil end
      serial, at = behind, at + KEY_WORDS
    end
    if serial ~= '' then return nil end
    if not lane or lane.queue ~= queue or lane.u.name ~= user then
      local of, u = queue .. ':' .. user, nil
      if lane and not lane_of then
        lane_of, user_of = { [lane.of] = lane }, { [lane.u.name] = lane.u }
      end
      if lane_of then lane, u = lane_of[of], user_of[user] end
      if not u then
        u = V.plain_user(user)
        if user_of then user_of[user] = u end
        users[#users + 1] = u
        asked = asked + 1
        NAMES[asked] = u.U .. 'n'
        u.at = asked
      end
      if not lane then
        lane = {
          u = u, queue = queue, of = of, name = u.U .. 'q:' .. queue, n = 0, length = 0,
          most = tonumber(most), said = most,
        }
        if lane_of then lane_of[of] = lane end
        lanes[#lanes + 1] = lane
      end
    end
    if most ~= lane.said then
      lane.most, lane.said = math.min(lane.most, tonumber(most)), most
    end
    asked = asked + 1
    NAMES[asked] = lane.u.U .. 'd:' .. task
    LANES[i], PLACES[i] = lane, asked
    if has_key then
      asked = asked + 1
      NAMES[asked] = lane.u.U .. 'k:' .. string.sub(key, 2)
    end
    at = at + WORDS
  end
  return lanes, users, asked
end

function V.plain()
  local args = ARGV
  local total, first = read(args[4]), 5
  if total > TASKS_MAX then return nil end
  local lanes, users, asked = read_tasks(first, total)
  if not lanes then return nil end
  local fields = {}
  for i = 1, #lanes do fields[i] = 'x:' .. lanes[i].of end
  for i = 1, #lanes do fields[#lanes + i] = 'q:' .. lanes[i].queue end
  if not look(fields) then return nil end

  local values = call('MGET', unpack(NAMES, 1, asked))
  for i = 1, #users do
    local u = users[i]
    V.learn_tally(u, values[u.at])
    u.held = tonumber(u.numbers[2])
    if u.rest ~= '' then u.most = tonumber(match(u.rest, '%d+')) end
  end
  local verdicts, puts, order, created, accepting = {}, {}, {}, args[3], 0
  -- Names of what this call has accepted, should there be more; and what `keep_keys` takes.
  local taken, keyed = total > 1 and {} or nil, nil
  local at = first
  for i = 1, total do
    local task, descriptor, entry, event, key =
      args[at + 1], args[at + 4], args[at + 5], args[at + 6], args[at + 11]
    local lane, place = LANES[i], PLACES[i]
    local u, name = lane.u, NAMES[place]
    if key ~= '' then key = NAMES[place + 1] else key = nil end
    if values[place] or (taken and taken[name]) then
      verdicts[i] = 'e' .. task
    elseif key and (values[place + 1] or (taken and taken[key])) then
      -- What the task that has it means to this one, the others say.
      return leave()
    elseif u.held + u.bytes + #descriptor > (u.most or tonumber(args[at + 8])) then
      verdicts[i] = 'b'
    else
      verdicts[i] = 'a'
      if key then
        keyed = keyed or {}
        keyed[#keyed + 1] = key
        keyed[#keyed + 1] = at
      end
      if taken then
        taken[name] = true
        if key then taken[key] = true end
      end
      puts[#puts + 1] = name
      puts[#puts + 1] = descriptor
      u.bytes, u.queued = u.bytes + #descriptor, u.queued + 1
      if lane.n == 0 then order[#order + 1] = lane end
      lane.n = lane.n + 1
      lane[lane.n] = task .. ':1:1'
      if entry ~= '' then entry = task .. '\n' .. entry else entry = task end
      local index = u.index
      if index then
        index[#index + 1] = '0'
        index[#index + 1] = entry
      else
        u.index, accepting = { '0', entry }, accepting + 1
      end
      local comma = event == '' and '' or ','
      V.note(u, '{"t":"' .. task .. '","s":"queued","c":1,"n":0,"at":' .. created .. ',"a":1'
        .. comma .. event .. '}')
    end
    at = at + (key and WORDS + KEY_WORDS or WORDS)
  end

  for i = 1, #order do
    local lane = order[i]
    lane.length = call('RPUSH', lane.name, unpack(lane, 1, lane.n))
    -- Who is refused, and what follows from it, the others say.
    if lane.length > lane.most then
      pull(order, i)
      return leave()
    end
  end
  local heard = users
  if accepting < #users then
    heard = {}
    for i = 1, #users do
      if users[i].index then heard[#heard + 1] = users[i] end
    end
  end
  for i = 1, #heard do
    local u = heard[i]
    puts[#puts + 1] = u.U .. 'n'
    puts[#puts + 1] = V.spell_user(u)
    if u.is_new then call('SADD', USERS, u.name) end
    call('ZADD', u.U .. 'i', unpack(u.index))
  end
  if #puts > 0 then call('MSET', unpack(puts)) end
  if keyed then keep_keys(keyed) end
  enter_rings(order)
  V.tell_users(heard)
  return verdicts
end
