-- times: turns by run time: what users have had of the workers' time in a queue, where they share that.
-- The arithmetic is that of `turns.rs` of core.
--
-- reads:   times:<queue>: '.' = how far the queue's time is, in microseconds, and what a turn is, in
--          ms; by user when they are due, what their tasks took lately, '1' if they were away; by
--          user,task the lease time since when it runs, what was charged for it, the user's weight
-- replies: nothing
-- moves:   nothing
--
-- What is charged changes with the leases, in the same call: it is read once, and written when the
-- call ends.

local METER, US = '.', 1000
-- By queue: cells by field, and fields in order. A cell is what was read, and what it says.
local times, order
-- Tasks that are over, by queue, in order: user; user,task.
local ended, ended_order
each_call(function()
  times, order = {}, {}
  ended, ended_order = {}, {}
end)

local function parse(field, text)
  local one, two, three = string.match((text or '') .. ',,', '^(%-?%d*),(%-?%d*),(%d*)')
  one, two, three = tonumber(one), tonumber(two), tonumber(three)
  if field == METER then return { at = one or 0, turn = two or TURN_MS_DEFAULT } end
  if string.find(field, ',', 1, true) then return { since = one, ms = two or 0, weight = three or 1 } end
  return { due = one or 0, mean = two or 0, away = not one or three == 1 }
end

local function spell(field, cell)
  if cell.gone then return nil end
  if field == METER then return int(cell.at) .. ',' .. int(cell.turn) end
  if cell.weight and cell.since then return int(cell.since) .. ',' .. int(cell.ms) .. ',' .. int(cell.weight) end
  if not cell.due then return nil end
  return int(cell.due) .. ',' .. int(cell.mean) .. (cell.away and ',1' or '')
end

-- The cells of these fields.
local function cells(queue, fields)
  local known, unread = times[queue], {}
  if not known then
    known = { of = { [METER] = false }, fields = {} }
    times[queue] = known
    order[#order + 1] = queue
    unread[1] = METER
  end
  for i = 1, #fields do
    if known.of[fields[i]] == nil then
      known.of[fields[i]] = false
      unread[#unread + 1] = fields[i]
    end
  end
  for from = 1, #unread, UNPACK_MAX do
    local last = math.min(from + UNPACK_MAX - 1, #unread)
    local values = call('HMGET', N.times(queue), unpack(unread, from, last))
    for i = from, last do
      local field, text = unread[i], values[i - from + 1]
      local cell = parse(field, text)
      cell.was = text
      known.of[field] = cell
      known.fields[#known.fields + 1] = field
    end
  end
  local list = {}
  for i = 1, #fields do list[i] = known.of[fields[i]] end
  return list
end

-- The time of a queue of which something has been read.
function V.meter(queue) return times[queue].of[METER] end

-- What is known of these users.
function V.shares(queue, users) return cells(queue, users) end

local function weighed(ms, weight) return math.floor(ms * US / weight) end
local function most(meter) return DEBT_TURNS_MAX * meter.turn * US end
local function capped(meter, due) return math.min(due, meter.at + most(meter)) end
local function task_ms(share, meter) return share.mean > 0 and share.mean or meter.turn end

-- They have something that may start, and had before or not.
function V.comes(share, meter)
  share.touched = true
  if share.away then
    share.away = false
    share.due = math.max(share.due, meter.at)
  end
  share.due = math.max(share.due, meter.at - most(meter))
end

-- They may not start now, whoever else does.
function V.stays_away(share)
  if share.was or share.touched then
    share.away, share.touched = true, true
  end
end

-- Whether any of these is due.
function V.is_any_due(meter, lanes)
  for i = 1, #lanes do
    if lanes[i].share.due <= meter.at then return true end
  end
  return false
end

-- How many tasks of each may start where `need` are wanted; `all` if these are all who have something.
function V.plan(meter, lanes, need, all)
  local counts, sum, tasks = {}, 0, {}
  for i = 1, #lanes do tasks[i] = math.max(1, weighed(task_ms(lanes[i].share, meter), lanes[i].weight)) end
  local function count(at)
    sum = 0
    for i = 1, #lanes do
      local lane = lanes[i]
      counts[i] = 0
      if lane.share.due <= at then
        counts[i] = math.min(math.floor((at - lane.share.due) / tasks[i]) + 1, lane.room, need)
      end
      sum = sum + counts[i]
    end
  end
  count(meter.at)
  if #lanes == 0 or not (sum == 0 or (all and sum < need)) then return counts end
  local total, step = 0, 0
  for i = 1, #lanes do total = total + task_ms(lanes[i].share, meter) end
  meter.turn = math.max(1, math.floor(total / #lanes))
  meter.touched = true
  while true do
    local first = math.huge
    for i = 1, #lanes do
      if counts[i] < math.min(lanes[i].room, need) then
        first = math.min(first, lanes[i].share.due + tasks[i] * counts[i])
      end
    end
    if first == math.huge then return counts end
    meter.at = math.max(first, meter.at + step)
    count(meter.at)
    if sum >= need then return counts end
    step = meter.turn * US
  end
end

-- A task starts whose user was looked at by this call.
function V.charge(queue, user, task)
  local share, meter = cells(queue, { user })[1], V.meter(queue)
  local charged = { since = lease_time(), ms = task_ms(share, meter), weight = share.weight, touched = true }
  local due = share.due + math.max(1, weighed(charged.ms, charged.weight))
  share.due, share.touched = capped(meter, due), true
  local known, field = times[queue], user .. ',' .. task
  if not known.of[field] then known.fields[#known.fields + 1] = field end
  known.of[field] = charged
end

-- A task is over.
function V.spent(queue, user, task)
  if not V.is_timed(V.set_of(queue)) then return end
  if not ended[queue] then
    ended[queue] = {}
    ended_order[#ended_order + 1] = queue
  end
  local list = ended[queue]
  list[#list + 1] = user
  list[#list + 1] = user .. ',' .. task
end

-- Puts right what was charged for the tasks that are over.
function V.put_right()
  for i = 1, #ended_order do
    local queue = ended_order[i]
    local found = cells(queue, ended[queue])
    local meter = V.meter(queue)
    for j = 1, #found, 2 do
      local share, charged = found[j], found[j + 1]
      if charged.since and not charged.gone then
        charged.gone, charged.touched = true, true
        local ran = math.max(1, lease_time() - charged.since)
        share.due = capped(meter, share.due + weighed(ran - charged.ms, charged.weight))
        share.mean = share.mean == 0 and ran or math.floor((share.mean * (MEAN_OF - 1) + ran) / MEAN_OF)
        share.touched = true
      end
    end
  end
  ended, ended_order = {}, {}
end

-- Nothing of a user is known any more.
function V.forget_times(queue, user)
  if not V.is_timed(V.set_of(queue)) then return end
  V.put_right()
  local share = cells(queue, { user })[1]
  share.gone, share.touched = true, true
end

-- Forgets what goes with turns of the other sort.
function V.drop_turns(queue, is_timed)
  if is_timed then return call('UNLINK', N.credit(queue)) end
  call('UNLINK', N.times(queue))
  times[queue] = nil
end

-- Writes what has changed.
function V.keep_times()
  for i = 1, #order do
    local known, set, gone = times[order[i]], {}, {}
    for j = 1, known and #known.fields or 0 do
      local field = known.fields[j]
      local cell = known.of[field]
      local text = cell.touched and spell(field, cell) or nil
      if text and text ~= cell.was then
        set[#set + 1] = field
        set[#set + 1] = text
      elseif cell.touched and not text and cell.was then
        gone[#gone + 1] = field
      end
    end
    for at = 1, #set, UNPACK_MAX do
      call('HSET', N.times(order[i]), unpack(set, at, math.min(at + UNPACK_MAX - 1, #set)))
    end
    for at = 1, #gone, UNPACK_MAX do
      call('HDEL', N.times(order[i]), unpack(gone, at, math.min(at + UNPACK_MAX - 1, #gone)))
    end
  end
end
