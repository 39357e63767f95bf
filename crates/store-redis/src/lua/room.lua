-- room: how many tasks of a user run in a queue, where something limits that; and lanes that get in
-- again when one of them is over.
--
-- reads:   running:<queue>, by user, kept only where something limits; 0 is not kept
-- replies: nothing
-- moves:   nothing
--
-- Counts change with the leases, in the same call: they are read once, and written when it ends.

-- By queue: users in order, and what is known of each, { now, before }.
local counts, order
-- Users whose tasks run no more, by queue: in order, and how many tasks.
local left, left_order
-- Queues in which lanes got in again.
local roomy
each_call(function()
  counts, order = {}, {}
  left, left_order = {}, {}
  roomy = {}
end)

local function counts_of(queue)
  if not counts[queue] then
    counts[queue] = { users = {}, of = {} }
    order[#order + 1] = queue
  end
  return counts[queue]
end

-- How many tasks of each of these users run in a queue that counts.
function V.running(queue, users)
  local known, unread, numbers = counts_of(queue), {}, {}
  for i = 1, #users do
    if not known.of[users[i]] then unread[#unread + 1] = users[i] end
  end
  if #unread > 0 then
    local values = call('HMGET', N.running(queue), unpack(unread))
    for i = 1, #unread do
      local number = tonumber(values[i]) or 0
      known.of[unread[i]] = { now = number, before = number }
      known.users[#known.users + 1] = unread[i]
    end
  end
  for i = 1, #users do numbers[i] = known.of[users[i]].now end
  return numbers
end

-- More or fewer tasks of a user run. Their number has been read.
function V.count_running(queue, user, by)
  local one = counts_of(queue).of[user]
  one.now = math.max(0, one.now + by)
end

-- A task of a user runs no more.
function V.leaves(queue, user)
  local set = V.set_of(queue)
  V.count_total(queue, set, -1)
  if not set or not V.is_counted(set) then return end
  if not left[queue] then
    left[queue] = { users = {}, of = {} }
    left_order[#left_order + 1] = queue
  end
  local users = left[queue]
  if not users.of[user] then
    users.of[user] = 0
    users.users[#users.users + 1] = user
  end
  users.of[user] = users.of[user] + 1
end

-- Puts lanes that were set aside in a queue into its ring again.
local function let_in(queue, users)
  if #users == 0 then return end
  call('ZREM', N.full(queue), unpack(users))
  call('RPUSH', N.ring(queue), unpack(users))
  roomy[#roomy + 1] = queue
end

-- What keeps the lane of a user out, and when it is good again, as V.gate says it; but for pauses of
-- all their work. Counts are read, where they have not been.
function V.lane_gate(queue, user, settings)
  local set = V.set_of(queue)
  local running = V.is_counted(set) and V.running(queue, { user })[1]
  local pace = V.is_paced(set) and V.paces(queue, { user })[1]
  return V.gate(settings, false, set, running, pace)
end

-- Lets those of the users in again whose lanes were set aside and who may start tasks.
function V.readmit(queue, users)
  local set, held, open, later, at = V.set_of(queue), {}, {}, {}, {}
  local scores = call('ZMSCORE', N.full(queue), unpack(users))
  for i = 1, #users do
    if scores[i] then held[#held + 1] = users[i] end
  end
  if #held == 0 then return end
  local of = set and set.users and call('HMGET', N.overrides(queue), unpack(held)) or {}
  if V.is_counted(set) then V.running(queue, held) end
  if V.is_paced(set) then V.paces(queue, held) end
  for i = 1, #held do
    local gate, good = V.lane_gate(queue, held[i], V.user_settings(of[i]))
    if not gate then
      open[#open + 1] = held[i]
    elseif good then
      later[#later + 1] = held[i]
      at[held[i]] = good
    end
  end
  let_in(queue, open)
  V.look_again(queue, later, at)
end

-- Lets lanes in again whose users have had tasks that run no more, and who may start others.
function V.make_room()
  V.put_right()
  for i = 1, #left_order do
    local queue = left_order[i]
    local users = left[queue].users
    V.running(queue, users)
    for j = 1, #users do V.count_running(queue, users[j], -left[queue].of[users[j]]) end
    V.readmit(queue, users)
  end
  left, left_order = {}, {}
end

-- Lets all lanes of a queue in again that were set aside there: each is looked at when its turn
-- comes. Answers whether there were any.
function V.let_all_in(queue)
  local name = N.full(queue)
  local users = call('ZRANGE', name, 0, -1)
  if #users == 0 then return false end
  for at = 1, #users, UNPACK_MAX do
    call('RPUSH', N.ring(queue), unpack(users, at, math.min(at + UNPACK_MAX - 1, #users)))
  end
  call('UNLINK', name)
  return true
end

-- Tasks may start in a queue again.
function V.add_roomy(queue) roomy[#roomy + 1] = queue end

-- Wakes workers where lanes got in or a queue has room again, and somebody is still to be served, when
-- the claim is over: who made the room has taken from it first.
function V.wake_for_room()
  local woken, queues, seen = 0, roomy, {}
  local freed = V.take_freed()
  for i = 1, #freed do queues[#queues + 1] = freed[i] end
  for i = 1, #queues do
    local queue = queues[i]
    if woken == WAKES_MAX then break end
    if not seen[queue] and V.may_start(queue) and call('EXISTS', N.ring(queue)) == 1 then
      woken = woken + V.wake(queue, 1)
    end
    seen[queue] = true
  end
  roomy = {}
end

-- Counts anew what runs in a queue, from the leases; or forgets it, where nothing limits any more.
function V.recount(queue, is_counted)
  call('UNLINK', N.running(queue))
  counts[queue] = nil
  if not is_counted then return end
  local of, users = {}, {}
  V.each_lease(queue, function(user)
    if not of[user] then
      of[user] = 0
      users[#users + 1] = user
    end
    of[user] = of[user] + 1
  end)
  for i = 1, #users do call('HSET', N.running(queue), users[i], int(of[users[i]])) end
end

-- Nothing of a user is counted any more.
function V.forget_running(queue, user)
  if not V.is_counted(V.set_of(queue)) then return end
  V.count_running(queue, user, -V.running(queue, { user })[1])
end

-- Writes what has changed.
function V.keep_running()
  for i = 1, #order do
    local queue = order[i]
    local known, set, gone = counts[queue], {}, {}
    for j = 1, known and #known.users or 0 do
      local user = known.users[j]
      local one = known.of[user]
      if one.now ~= one.before then
        if one.now > 0 then
          set[#set + 1] = user
          set[#set + 1] = int(one.now)
        else
          gone[#gone + 1] = user
        end
      end
    end
    if #set > 0 then call('HSET', N.running(queue), unpack(set)) end
    if #gone > 0 then call('HDEL', N.running(queue), unpack(gone)) end
  end
end
