-- plain_submit: tasks that may start at once, without keys, priorities and times, where nothing is set
-- of their users and queues.
--
-- reads:   what submit reads
-- replies: what submit replies, or nothing: then nothing was done
-- moves:   nothing -> queued

-- Tasks of one call, and the words of one.
local TASKS_MAX, WORDS = 128, 13
-- The lane and the user of each task. Kept from call to call, so that they need not grow.
local LANES, OWNERS, NAMES = {}, {}, {}

-- Takes off again what was pushed to the first of these lanes, which nobody has seen.
local function pull(lanes, count)
  for i = 1, count do call('RPOP', lanes[i].name, int(lanes[i].n)) end
  return nil
end

-- Lanes that were empty enter their rings, in the order of their first tasks.
local function enter_rings(lanes)
  local users, order, ringed = {}, {}, {}
  for i = 1, #lanes do
    local lane = lanes[i]
    if lane.length == lane.n then
      local list = users[lane.queue]
      if not list then
        list = {}
        users[lane.queue] = list
        order[#order + 1] = lane.queue
      end
      list[#list + 1] = lane.u.name
      ringed[#ringed + 1] = lane.queue
    end
  end
  for i = 1, #order do call('RPUSH', N.ring(order[i]), unpack(users[order[i]])) end
  V.wake_for(ringed)
end

function V.plain()
  local args = ARGV
  local fresh = tonumber(args[4])
  local total, first = tonumber(args[5 + fresh]), 6 + fresh
  if total > TASKS_MAX then return nil end
  local lanes, lane_of, users, user_of, fields = {}, {}, {}, {}, {}
  local at, asked = first, 0
  for i = 1, total do
    local user, task, queue, due, _, _, _, most, _, priority, expires, key, serial =
      unpack(args, at, at + WORDS - 1)
    if due ~= '' or priority ~= '' or expires ~= '' or key ~= '' or serial ~= '' then return nil end
    local name = queue .. ':' .. user
    local lane = lane_of[name]
    most = tonumber(most)
    if not lane then
      local u = user_of[user]
      if not u then
        u = V.plain_user(user)
        user_of[user] = u
        users[#users + 1] = u
        asked = asked + 1
        NAMES[asked] = u.U .. 'n'
        u.at = asked
      end
      lane = { u = u, queue = queue, name = N.lane(user, queue), n = 0, length = 0, most = most }
      lane_of[name] = lane
      lanes[#lanes + 1] = lane
      fields[#fields + 1] = 'x:' .. name
    elseif most < lane.most then
      lane.most = most
    end
    asked = asked + 1
    NAMES[asked] = lane.u.U .. 'd:' .. task
    LANES[i], OWNERS[i] = lane, asked
    at = at + WORDS
  end
  for i = 1, #lanes do fields[#fields + 1] = 'q:' .. lanes[i].queue end
  if not V.look(fields) then return nil end

  local values = call('MGET', unpack(NAMES, 1, asked))
  for i = 1, #users do V.learn_tally(users[i], values[users[i].at]) end
  local verdicts, puts, taken, order, created = {}, {}, {}, {}, args[3]
  at = first
  for i = 1, total do
    local task, descriptor, entry, event = args[at + 1], args[at + 4], args[at + 5], args[at + 6]
    local lane, name = LANES[i], NAMES[OWNERS[i]]
    local u = lane.u
    local held = u.numbers[2] + u.bytes + #descriptor
    if values[OWNERS[i]] or taken[name] then
      verdicts[i] = 'e' .. task
    elseif held > tonumber(match(u.rest, '%d+') or args[at + 8]) then
      verdicts[i] = 'b'
    else
      verdicts[i] = 'a'
      taken[name] = true
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
        u.index = { '0', entry }
      end
      local json = '{"t":"' .. task .. '","s":"queued","c":1,"n":0,"at":' .. created .. ',"a":1'
      if event == '' then json = json .. '}' else json = json .. ',' .. event .. '}' end
      V.note(u, json)
    end
    at = at + WORDS
  end

  for i = 1, #order do
    local lane = order[i]
    lane.length = call('RPUSH', lane.name, unpack(lane, 1, lane.n))
    -- Who is refused, and what follows from it, the others say.
    if lane.length > lane.most then return pull(order, i) end
  end
  local heard = {}
  for i = 1, #users do
    local u = users[i]
    if u.queued > 0 then
      heard[#heard + 1] = u
      puts[#puts + 1] = u.U .. 'n'
      puts[#puts + 1] = V.spell_user(u)
      call('ZADD', u.U .. 'i', unpack(u.index))
    end
  end
  if #puts > 0 then call('MSET', unpack(puts)) end
  if fresh > 0 then call('SADD', USERS, unpack(args, 5, 4 + fresh)) end
  enter_rings(order)
  V.tell_users(heard)
  return verdicts
end
