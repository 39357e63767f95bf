-- pick: whose turn it is in a queue, and how many tasks of theirs.
--
-- reads:   a queue, how many tasks, what is set of the queue if anything is
-- replies: lane entries, each with its user, some may be dead references; how many lanes were set
--          aside. Nothing where there are no turns.
-- moves:   nothing; lanes and the ring give what is picked
--
-- Weighted deficit round robin over the ring: with `need` tasks wanted and the sum of the weights
-- of the lanes looked at, a turn is weight * max(1, need / sum) tasks. A turn cut short keeps the
-- rest as credit and the lane stays in front; a served lane goes to the back, and so does one that
-- may start no more. A lane that may not be served is set aside, out of the ring, until what is in
-- its way is gone.

-- An entry of a user's lane: task, attempt and claim number, texts, and the task's record.
function V.picked(user, entry)
  local task, attempt, claim = V.read_entry(entry)
  return { u = user, t = task, a = attempt, c = claim, r = V.record(user, task or '') }
end

local function pick_one(queue)
  local ring = N.ring(queue)
  local user = call('LMOVE', ring, ring, 'LEFT', 'RIGHT')
  if not user then return nil, 0 end
  local name = N.lane(user, queue)
  local entry = call('LPOP', name)
  if not entry or call('LLEN', name) == 0 then call('RPOP', ring) end
  return entry and { V.picked(user, entry) } or {}, 0
end

-- Marks which of these lanes still hold something, where that is not known.
local function find_open(lanes, queue, letters)
  for i = 1, #letters do
    local names, asked = {}, {}
    for j = 1, #lanes do
      if not lanes[j].open then
        asked[#asked + 1] = lanes[j]
        names[#names + 1] = N.lane(lanes[j].u, queue, letters[i])
      end
    end
    local found = V.which_exist(names)
    for j = 1, #asked do asked[j].open = found[j] end
  end
end

-- Those of the users who may be served, each with weight, credit and how many of theirs may start;
-- and how many users were set aside. Credit that was read is in `spent`.
local function admit(queue, users, set, spent)
  local of, credits, paused, weighted = {}, {}, {}, set and set.users
  local running = V.is_counted(set) and V.running(queue, users) or {}
  local paces = V.is_paced(set) and V.paces(queue, users) or {}
  local later, at = {}, {}
  if weighted then
    of = call('HMGET', N.overrides(queue), unpack(users))
    credits = call('HMGET', N.credit(queue), unpack(users))
  end
  if M.paused > 0 then paused = call('HMGET', PAUSED, unpack(users)) end
  local open, full = {}, {}
  for i = 1, #users do
    local user, settings = users[i], V.user_settings(of[i])
    local gate, room = V.gate(settings, paused[i], set, running[i], paces[i])
    if not gate then
      open[#open + 1] =
        { u = user, weight = settings.weight, credit = tonumber(credits[i]), room = room }
    else
      if credits[i] then spent[#spent + 1] = user end
      if gate == 'user' then
        call('SADD', N.user(user) .. 'z', queue)
      else
        full[#full + 1] = 0
        full[#full + 1] = user
        if room then
          later[#later + 1] = user
          at[user] = room
        end
      end
    end
  end
  if #full > 0 then call('ZADD', N.full(queue), unpack(full)) end
  V.look_again(queue, later, at)
  return open, #users - #open
end

-- Takes up to `need` entries from the lanes whose turn it is. Entries may be dead references.
function V.pick(queue, need, set)
  if need == 0 or not V.is_open(set) then return nil, 0 end
  if set and set.total then
    need = math.min(need, V.total_room(queue, set))
    if need == 0 then return nil, 0 end
  end
  local round = handed and handed.rounds[1]
  if round and round.queue == queue then
    table.remove(handed.rounds, 1)
    local picked = {}
    for i = 1, #round.picked, 2 do
      picked[#picked + 1] = V.picked(round.picked[i], round.picked[i + 1])
    end
    return picked, 0
  end
  local weighted, mixed = set and set.users, V.has_priorities(queue)
  local plain = not (weighted or mixed or set and (V.is_counted(set) or V.is_paced(set)))
  if need == 1 and plain and M.paused == 0 then
    return pick_one(queue)
  end
  local ring = N.ring(queue)
  local users = call('LPOP', ring, int(need))
  if not users then return nil, 0 end
  local picked, spent, saved, sum = {}, {}, {}, 0
  local lanes, aside = admit(queue, users, set, spent)
  for i = 1, #lanes do sum = sum + lanes[i].weight end
  local turn = math.max(1, math.floor(need / math.max(1, sum)))
  local low = {}
  if mixed then
    local names = {}
    for i = 1, #lanes do names[i] = N.lane(lanes[i].u, queue, 'l') end
    low = V.which_exist(names)
  end
  local served, untouched, front, back = {}, {}, {}, {}
  for i = 1, #lanes do
    local lane, left = lanes[i], need - #picked
    if left == 0 then
      untouched[#untouched + 1] = lane.u
    else
      local credit = lane.credit
      if credit then spent[#spent + 1] = lane.u else credit = lane.weight * turn end
      local ask = math.min(credit, left, lane.room)
      local entries, is_left
      if mixed then
        entries, is_left = V.take_turn(lane.u, queue, ask, low[i])
      else
        entries = call('LPOP', N.lane(lane.u, queue), int(ask)) or {}
      end
      for j = 1, #entries do picked[#picked + 1] = V.picked(lane.u, entries[j]) end
      -- One that gave less than it was asked for is empty and leaves the ring.
      if #entries == ask and is_left ~= false then
        local rest = lane.room > ask and credit - ask or 0
        served[#served + 1] = { u = lane.u, left = rest, open = is_left }
      end
    end
  end
  find_open(served, queue, mixed and { 'h', 'q' } or { 'q' })
  for i = 1, #served do
    local lane = served[i]
    if lane.open then
      if weighted and lane.left > 0 then
        saved[#saved + 1] = lane.u
        saved[#saved + 1] = int(lane.left)
        front[#front + 1] = lane.u
      else
        back[#back + 1] = lane.u
      end
    end
  end
  -- Whose turn was cut short was the last to be served, and stays before those not looked at.
  for i = 1, #untouched do front[#front + 1] = untouched[i] end
  if #spent > 0 then call('HDEL', N.credit(queue), unpack(spent)) end
  if #saved > 0 then call('HSET', N.credit(queue), unpack(saved)) end
  if #front > 0 then
    local backwards = {}
    for i = #front, 1, -1 do backwards[#backwards + 1] = front[i] end
    call('LPUSH', ring, unpack(backwards))
  end
  if #back > 0 then call('RPUSH', ring, unpack(back)) end
  return picked, aside
end
