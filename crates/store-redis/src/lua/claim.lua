-- claim: hand out work, users taking turns.
--
-- reads:   the caller: worker.call, lease_ms; queues in order, how many tasks;
--          meta fields w:<queue>: whether users of the queue have weights
-- replies: claimed tasks: token, writes so far, descriptor, state; lanes left over
-- moves:   queued -> running
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
local function pick(queue, need, weighted)
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

function V.claim(holder, lease_ms, queues, weighted, limit)
  local claimed, count, looks, leases = {}, 0, CLAIM_LOOKS_MAX, {}
  local deadline = int(lease_time() + lease_ms)
  for i = 1, #queues do
    local queue = queues[i]
    while true do
      local picked = pick(queue, math.min(limit - count, looks), weighted[i])
      if #picked == 0 then break end
      looks = looks - #picked
      for j = 1, #picked do
        local one = picked[j]
        one.t, one.a, one.c = string.match(one.e, '^([^:]+):(%d+):(%d+)$')
        one.r = V.record(one.u, one.t or '')
        V.want(one.r, true)
      end
      V.fetch()
      V.settle()
      for j = 1, #picked do
        local one = picked[j]
        local r, claim = one.r, tonumber(one.c)
        if r.d and not r.gone and r.s == 'queued' and r.c == claim then
          r.s, r.n, r.a, r.w = 'running', r.n + 1, tonumber(one.a), holder
          V.write(r, int(now()), ',"w":"' .. holder .. '"', '', '')
          local token = queue .. '|' .. one.u .. '|' .. one.t .. '|' .. one.a .. '|' .. one.c .. '|' .. holder
          leases[#leases + 1] = deadline
          leases[#leases + 1] = token
          claimed[#claimed + 1] = token
          claimed[#claimed + 1] = r.n
          claimed[#claimed + 1] = r.d
          claimed[#claimed + 1] = r.text
          count = count + 1
        else
          V.add_dead(V.extra(one.u, queue), -1)
        end
      end
    end
  end
  if #leases > 0 then call('ZADD', LEASES, unpack(leases)) end
  -- With looks left, every ring named is empty now.
  local more = 0
  if looks == 0 and count < limit then
    for i = 1, #queues do more = more + call('LLEN', N.ring(queues[i])) end
  end
  return claimed, count, more
end
