-- maintain: nobody's duty in particular. Any sync that finds it due adopts lost leases, ends what
-- nobody took in time, promotes due tasks, sweeps what has been kept long enough, and heals lost
-- wakes.
--
-- reads:   the caller: worker.call, lease_ms
-- replies: adopted leases: token, end of the lost lease, '1' if its cancellation was asked,
--          descriptor, state
-- moves:   scheduled -> queued, scheduled -> cancelled, queued -> cancelled, waiting -> cancelled,
--          terminal -> gone

-- Leases past their end change hands: the caller settles them by policy. A crash of the caller
-- only repeats this. The text of the state stays: it says how far the lost attempt had come.
local function adopt(holder, lease_ms, adopted)
  -- Nearly always none has ended, and then the first one also says when to look again.
  local first = call('ZRANGE', LEASES, 0, 0, 'WITHSCORES')
  if not first[2] or tonumber(first[2]) > M.lt then
    M.first_lease = first
    return
  end
  local lost = call('ZRANGE', LEASES, '-inf', int(M.lt), 'BYSCORE', 'LIMIT', 0, ADOPT_MAX, 'WITHSCORES')
  local old, new, names, list = {}, {}, {}, {}
  for i = 1, #lost, 2 do
    local front, claim = string.match(lost[i], '^([^|]+|[^|]+|[^|]+|%d+)|(%d+)|')
    local user, task = string.match(lost[i], '^[^|]+|([^|]+)|([^|]+)')
    local r = V.record(user, task)
    local token = front .. '|' .. int(claim + 1) .. '|' .. holder
    V.want(r, true)
    old[#old + 1] = lost[i]
    new[#new + 1] = int(M.lt + lease_ms)
    new[#new + 1] = token
    names[#names + 1] = r.id
    list[#list + 1] = { r = r, token = token, ended = lost[i + 1] }
  end
  call('ZREM', LEASES, unpack(old))
  call('ZADD', LEASES, unpack(new))
  local marked = M.cx > 0 and call('SMISMEMBER', CANCELS, unpack(names)) or {}
  V.fetch()
  for i = 1, #list do
    local one = list[i]
    adopted[#adopted + 1] = one.token
    adopted[#adopted + 1] = one.ended
    adopted[#adopted + 1] = marked[i] == 1 and '1' or ''
    adopted[#adopted + 1] = one.r.d or false
    adopted[#adopted + 1] = one.r.text or one.r.raw or false
  end
end

-- Answers whether it reached its limit; so do the next two.
local function expire()
  if M.ex <= 0 then return false end
  local members = call('ZRANGE', UNSTARTED, '-inf', int(now()), 'BYSCORE', 'LIMIT', 0, EXPIRE_MAX)
  if #members == 0 then return false end
  M.ex = M.ex - call('ZREM', UNSTARTED, unpack(members))
  local list, ended = {}, { order = {} }
  for i = 1, #members do
    local user, task, queue = string.match(members[i] .. ',', '^([^,]+),([^,]+),([^,]+),')
    if user then
      local r = V.record(user, task)
      V.want(r)
      list[#list + 1] = { r = r, q = queue }
    end
  end
  V.fetch()
  for i = 1, #list do
    local r = list[i].r
    if V.is_expired(r) then
      r.x = nil
      V.leave_waiting(r, list[i].q)
      V.stop_waiting(r, list[i].q, EXPIRED, r.k, ended)
    end
  end
  V.list_ended(ended)
  return #members == EXPIRE_MAX
end

local function promote()
  local first = call('ZRANGE', DUE, 0, 0, 'WITHSCORES')
  if not first[2] or tonumber(first[2]) > now() then
    M.first_due = first
    return false
  end
  local members = call('ZRANGE', DUE, '-inf', int(now()), 'BYSCORE', 'LIMIT', 0, PROMOTE_MAX)
  call('ZREM', DUE, unpack(members))
  local list = {}
  for i = 1, #members do
    local user, task, queue, attempt, claim = V.read_due(members[i])
    if user then
      local r = V.record(user, task)
      V.want(r)
      list[#list + 1] = { r = r, q = queue, a = tonumber(attempt), c = tonumber(claim) }
    end
  end
  V.fetch()
  local lanes, lane_of, ringed = {}, {}, {}
  for i = 1, #list do
    local one = list[i]
    local r = one.r
    if r.s == 'scheduled' and r.c == one.c then
      r.s, r.n, r.a = 'queued', r.n + 1, one.a
      if r.sk and not V.holds_line(r, one.q) then
        V.add_scheduled(V.extra(r.u, one.q), -1)
        V.enter_line(r, one.q, true)
      else
        local name = one.q .. ':' .. r.u
        local lane = lane_of[name]
        if not lane then
          lane = { user = r.u, queue = one.q, entries = {} }
          lane_of[name] = lane
          lanes[#lanes + 1] = lane
        end
        V.gather_entry(lane, V.entry(r.t, r.a, r.c), r.p)
        V.add_scheduled(V.extra(r.u, one.q), -1)
      end
      V.write(r, int(now()), '', '', '')
    end
  end
  for i = 1, #lanes do V.push(lanes[i]) end
  V.ring(lanes, ringed)
  V.wake_for(ringed)
  return #members == PROMOTE_MAX
end

-- Removes what was kept of a list of ended tasks: `user,task,claim,ended_ms`.
local function remove(entries)
  local list = {}
  for i = 1, #entries do
    local user, task, claim = string.match(entries[i], '^([^,]+),([^,]+),(%d+),')
    if user then
      local r = V.record(user, task)
      V.want(r, false, M.fl > 0)
      list[#list + 1] = { r = r, c = tonumber(claim) }
    end
  end
  V.fetch()
  local gone = {}
  for i = 1, #list do
    local r = list[i].r
    -- A task that was redriven since is none of this entry's business.
    if not r.gone and r.c == list[i].c and V.is_ended(r) then
      r.gone = true
      gone[#gone + 1] = r
    end
  end
  V.remove(gone)
end

local function sweep()
  -- What has ended must not be gone before those who wait for it were told.
  if V.leads_left() > 0 then return false end
  local full, left = false, {}
  for keep in string.gmatch(M.keeps, '%d+') do
    local name = N.sweep(keep)
    local function is_over(entry)
      local ended = entry and tonumber(string.match(entry, '(%-?%d+)$'))
      return entry and (not ended or ended + keep * 1000 <= now())
    end
    local head = call('LINDEX', name, 0)
    if is_over(head) then
      local entries, over = call('LRANGE', name, 0, SWEEP_MAX), {}
      while #over < SWEEP_MAX and is_over(entries[#over + 1]) do
        over[#over + 1] = entries[#over + 1]
      end
      full = full or is_over(entries[#over + 1]) or false
      call('LPOP', name, #over)
      head = entries[#over + 1]
      remove(over)
    end
    if head then left[#left + 1] = keep end
  end
  local keeps = table.concat(left, ' ')
  if keeps ~= M.keeps then
    M.keeps = keeps
    M.set[#M.set + 1] = 'keeps'
    M.set[#M.set + 1] = keeps
  end
  return full
end

-- Work in a ring while somebody is idle means that a wake was lost. Workers that are gone without
-- a word must not swallow wakes meant for others: now and then they are forgotten.
local function heal_wakes(before_lt)
  local queues = call('SMEMBERS', PARKED)
  if #queues == 0 then return end
  table.sort(queues)
  if math.floor(before_lt / FORGET_PARKED_MS) ~= math.floor(M.lt / FORGET_PARKED_MS) then
    for i = 1, #queues do
      local idle = N.idle(queues[i])
      call('ZREMRANGEBYSCORE', idle, '-inf', '(' .. int(M.lt - PARKED_MS_MAX))
      if call('EXISTS', idle) == 0 then call('SREM', PARKED, queues[i]) end
    end
  end
  -- Nearly always nothing waits while somebody is idle: one command says so.
  for from = 1, #queues, UNPACK_MAX do
    local last, rings = math.min(from + UNPACK_MAX - 1, #queues), {}
    for i = from, last do rings[#rings + 1] = N.ring(queues[i]) end
    if call('EXISTS', unpack(rings)) > 0 then
      for i = from, last do
        if call('EXISTS', N.ring(queues[i])) == 1 and V.may_start(queues[i]) then V.wake(queues[i], WAKES_MAX) end
      end
    end
  end
end

-- Answers whether it was due.
function V.maintain(holder, lease_ms, adopted)
  local since = now() - M.mt
  local behind = M.behind or V.leads_left() > 0
  if not behind and since >= 0 and since < MAINTENANCE_MS then return false end
  M.unwatched = since > UNWATCHED_MS
  V.fetch()
  V.settle()
  local before_lt = M.lt
  M.lt = lease_time()
  M.mt = now()
  adopt(holder, lease_ms, adopted)
  -- What a turn leaves over is the next sync's, at once.
  local expiring = expire()
  V.lead_on()
  local promoting, sweeping = promote(), sweep()
  M.behind = expiring or promoting or sweeping
  call('HSET', META, 'lt', int(M.lt), 'mt', int(M.mt), 'behind', M.behind and '1' or '')
  heal_wakes(before_lt)
  return true
end
