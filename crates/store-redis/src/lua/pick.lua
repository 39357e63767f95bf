-- pick: whose turn it is in a queue, and how many tasks of theirs.
--
-- reads:   a queue, how many tasks, whether users of the queue have weights
-- replies: lane entries, each with its user; some may be dead references
-- moves:   nothing; lanes and the ring give what is picked
--
-- Weighted deficit round robin over the ring: with `need` tasks wanted and the sum of the weights
-- of the lanes looked at, a turn is weight * max(1, need / sum) tasks. A turn cut short keeps the
-- rest as credit and the lane stays in front; a served lane goes to the back.

local function pick_one(queue, picked)
  local ring = N.ring(queue)
  local user = call('LMOVE', ring, ring, 'LEFT', 'RIGHT')
  if not user then return end
  local name = N.lane(user, queue)
  local entry = call('LPOP', name)
  if entry then picked[1] = { u = user, e = entry } end
  if not entry or call('LLEN', name) == 0 then call('RPOP', ring) end
end

-- Which of these lanes still hold something. Nearly always all or none do: then it costs one
-- command.
local function open_lanes(lanes)
  local names = {}
  for i = 1, #lanes do names[i] = lanes[i].name end
  local open = #names > 0 and call('EXISTS', unpack(names)) or 0
  return function(lane)
    if open == 0 or open == #names then return open > 0 end
    return call('EXISTS', lane.name) == 1
  end
end

-- Takes up to `need` entries from the lanes whose turn it is. Entries may be dead references.
function V.pick(queue, need, weighted)
  local picked = {}
  if need == 0 then return picked end
  if need == 1 and not weighted then
    pick_one(queue, picked)
    return picked
  end
  local ring = N.ring(queue)
  local users = call('LPOP', ring, need)
  if not users then return picked end
  local weights, credits, sum = {}, {}, 0
  if weighted then
    weights = call('HMGET', N.weights(queue), unpack(users))
    credits = call('HMGET', N.credit(queue), unpack(users))
  end
  for i = 1, #users do
    weights[i] = tonumber(weights[i]) or 1
    sum = sum + weights[i]
  end
  local turn = math.max(1, math.floor(need / math.max(1, sum)))
  local served, untouched, front, back, spent, saved = {}, {}, {}, {}, {}, {}
  for i = 1, #users do
    local user, left = users[i], need - #picked
    if left == 0 then
      untouched[#untouched + 1] = user
    else
      local credit = tonumber(credits[i])
      if credit then spent[#spent + 1] = user else credit = weights[i] * turn end
      local ask = math.min(credit, left)
      local name = N.lane(user, queue)
      local entries = call('LPOP', name, ask) or {}
      for j = 1, #entries do picked[#picked + 1] = { u = user, e = entries[j] } end
      -- One that gave less than it was asked for is empty and leaves the ring.
      if #entries == ask then
        served[#served + 1] = { u = user, name = name, left = credit - ask }
      end
    end
  end
  local is_open = open_lanes(served)
  for i = 1, #served do
    local lane = served[i]
    if is_open(lane) then
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
  return picked
end
