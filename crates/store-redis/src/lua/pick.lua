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
-- its way is gone. Where turns are by run time, those take turns who are due: see times.

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
  local shares = V.is_timed(set) and V.shares(queue, users)
  local running = V.is_counted(set) and V.running(queue, users) or {}
  local paces = V.is_paced(set) and V.paces(queue, users) or {}
  local later, at = {}, {}
  if weighted then
    of = call('HMGET', N.overrides(queue), unpack(users))
  end
  if weighted and not shares then
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
      if shares then
        open[#open].share = shares[i]
        shares[i].weight = settings.weight
        V.comes(shares[i], V.meter(queue))
      end
    else
      if shares then V.stays_away(shares[i]) end
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

-- Puts users into the ring again, before and after those who are in it.
local function put_back(ring, front, back)
  if #front > 0 then
    local backwards = {}
    for i = #front, 1, -1 do backwards[#backwards + 1] = front[i] end
    call('LPUSH', ring, unpack(backwards))
  end
  if #back > 0 then call('RPUSH', ring, unpack(back)) end
end

-- Which of these lanes may have low tasks.
local function find_low(lanes, queue)
  local names = {}
  for i = 1, #lanes do names[i] = N.lane(lanes[i].u, queue, 'l') end
  return V.which_exist(names)
end

-- Takes `ask` entries from a lane of a queue into `picked`: how many there were, and whether anything is
-- left, where that is known.
local function take_from(lane, queue, ask, mixed, low, picked)
  local entries, is_left
  if mixed then
    entries, is_left = V.take_turn(lane.u, queue, ask, low)
  else
    entries = call('LPOP', N.lane(lane.u, queue), int(ask)) or {}
  end
  for i = 1, #entries do picked[#picked + 1] = V.picked(lane.u, entries[i]) end
  return #entries, is_left
end

-- What a plain call has picked in a queue, in its first round that is left.
local function take_round(queue)
  local round = handed and handed.rounds[1]
  if not round or round.queue ~= queue then return nil end
  table.remove(handed.rounds, 1)
  local picked = {}
  for i = 1, #round.picked, 2 do
    picked[#picked + 1] = V.picked(round.picked[i], round.picked[i + 1])
  end
  return picked
end

-- Takes up to `need` entries from the lanes of those who are due; of those who are due first where
-- nobody is.
local function pick_timed(queue, need, set)
  local ring, lanes, aside, looked, want = N.ring(queue), {}, 0, 0, need
  local all, meter
  while true do
    local users = call('LPOP', ring, int(want)) or {}
    if #users > 0 then
      local open, away = admit(queue, users, set, {})
      for i = 1, #open do lanes[#lanes + 1] = open[i] end
      looked, aside, meter = looked + #users, aside + away, V.meter(queue)
    end
    if looked == 0 then return nil, 0 end
    all = #users < want or call('EXISTS', ring) == 0
    if all or looked >= TIMED_LOOKS_MAX or V.is_any_due(meter, lanes) then break end
    want = TIMED_LOOKS_MAX - looked
  end
  local counts = V.plan(meter, lanes, need, all)
  local mixed = V.has_priorities(queue)
  local low = mixed and find_low(lanes, queue) or {}
  local picked, served, front, back = {}, {}, {}, {}
  for i = 1, #lanes do
    local lane, left = lanes[i], need - #picked
    local ask = math.min(counts[i], left)
    if ask > 0 then
      local count, is_left = take_from(lane, queue, ask, mixed, low[i], picked)
      lane.open, lane.ended = is_left, count < ask or is_left == false
      if not lane.ended then served[#served + 1] = lane end
      lane.first = counts[i] > left
    else
      lane.open, lane.first = true, counts[i] > 0
    end
  end
  find_open(served, queue, mixed and { 'h', 'q' } or { 'q' })
  for i = 1, #lanes do
    local lane = lanes[i]
    if lane.ended or not lane.open then
      lane.share.away = true
    elseif lane.first then
      front[#front + 1] = lane.u
    else
      back[#back + 1] = lane.u
    end
  end
  put_back(ring, front, back)
  return picked, aside
end

-- Takes up to `need` entries from the lanes whose turn it is. Entries may be dead references.
function V.pick(queue, need, set)
  if need == 0 or not V.is_open(set) then return nil, 0 end
  if set and set.total then
    need = math.min(need, V.total_room(queue, set))
    if need == 0 then return nil, 0 end
  end
  if set and set.rate_total then
    need = math.min(need, V.start_room(queue, set))
    if need == 0 then return nil, 0 end
  end
  if V.is_timed(set) then return pick_timed(queue, need, set) end
  local handed_over = take_round(queue)
  if handed_over then return handed_over, 0 end
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
  local low = mixed and find_low(lanes, queue) or {}
  local served, untouched, front, back = {}, {}, {}, {}
  for i = 1, #lanes do
    local lane, left = lanes[i], need - #picked
    if left == 0 then
      untouched[#untouched + 1] = lane.u
    else
      local credit = lane.credit
      if credit then spent[#spent + 1] = lane.u else credit = lane.weight * turn end
      local ask = math.min(credit, left, lane.room)
      local count, is_left = take_from(lane, queue, ask, mixed, low[i], picked)
      -- One that gave less than it was asked for is empty and leaves the ring.
      if count == ask and is_left ~= false then
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
  put_back(ring, front, back)
  return picked, aside
end

-- Whether it is somebody's turn in a queue of which nothing can be taken now, as `next.rs` of core says;
-- and how many looks are left.
function V.is_next(queue, looks, set)
  if not V.is_open(set) or not V.may_start(queue) then return false, looks end
  local ring = N.ring(queue)
  local left = call('LLEN', ring)
  while left > 0 and looks > 0 do
    local together = math.min(left, TURN_LOOKS, looks)
    left, looks = left - together, looks - together
    local spent, front, back = {}, {}, {}
    local open = admit(queue, call('LPOP', ring, int(together)), set, spent)
    for i = 1, #open do
      local user = open[i].u
      if #front > 0 or V.length(user, queue) > V.extra(user, queue).dead then
        front[#front + 1] = user
      else
        back[#back + 1] = user
      end
    end
    if #spent > 0 then call('HDEL', N.credit(queue), unpack(spent)) end
    put_back(ring, front, back)
    if #front > 0 then return true, looks end
  end
  return false, looks
end
