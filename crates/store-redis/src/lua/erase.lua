-- erase: remove everything of a user, whatever state it is in.
--
-- reads:   user; a count and tasks: id, queue, '' or the lease found of it; '1' if these are the last: then a count and queues
--          that may know the user, a count and keys of the user's that were found
-- replies: 'done', or 'changed' while there is more
-- moves:   scheduled -> gone, waiting -> gone, queued -> gone, running -> gone, terminal -> gone

-- Takes the lease of a task that runs, and tells its holder to stop: what it reports is refused from
-- now on. The state does not say who adopted it, so the lease was looked for; answers false if it
-- changed hands since.
local function take_lease(r, token)
  if token ~= '' then
    if call('ZREM', LEASES, token) == 0 then return false end
    V.leaves(string.match(token, '^[^|]+'), r.u)
    V.spent(string.match(token, '^[^|]+'), r.u, r.t)
    local holder = string.match(token, '([^|]*)$')
    call('SPUBLISH', N.wake(string.match(holder, '^[^.]*')), 'c' .. token)
  end
  M.cx = M.cx - call('SREM', CANCELS, r.id)
  return true
end

local function erase_task(r, queue, token)
  if r.s == 'running' then
    if not take_lease(r, token) then return false end
    V.leave_line(r, queue)
    return true
  end
  if not V.is_ended(r) then
    V.leave_waiting(r, queue)
    V.drop_expiry(r, queue)
  end
  return true
end

-- What knows a user beside the keys of their own.
local function erase_from(user, queue)
  local x = V.extra(user, queue)
  V.add_dead(x, -x.dead)
  V.add_scheduled(x, -x.scheduled)
  V.set_passed(x, 0)
  call('LREM', N.ring(queue), 0, user)
  call('HDEL', N.credit(queue), user)
  call('ZREM', N.full(queue), user)
  V.forget_running(queue, user)
  V.forget_pace(queue, user)
  V.forget_times(queue, user)
  V.keep_user(queue, user, '')
end

function V.erase(take)
  local user = take()
  local list, gone = V.named(take, user, function(one) one.token = take() end), {}
  for i = 1, #list do
    local one = list[i]
    local r = one.r
    if not r.exists or erase_task(r, one.q, one.token) then
      r.gone = true
      gone[#gone + 1] = r
    end
  end
  V.remove(gone)
  V.make_room()
  V.wake_for_room()
  local is_last, queues, names = take() == '1', {}, {}
  for i = 1, tonumber(take()) do queues[i] = take() end
  for i = 1, tonumber(take()) do names[i] = take() end
  -- Something may have been submitted since the keys were looked for.
  if not is_last or call('ZCARD', N.user(user) .. 'i') > 0 then return { 'changed' } end
  for i = 1, #queues do
    erase_from(user, queues[i])
    for _, letter in ipairs({ 'q', 'h', 'l' }) do
      names[#names + 1] = N.lane(user, queues[i], letter)
    end
  end
  local schedules = call('HKEYS', N.schedules(user))
  for i = 1, #schedules do call('ZREM', SCHEDULES, user .. ',' .. schedules[i]) end
  if #schedules > 0 then V.keep_first_tick() end
  V.forget_leads(user)
  if M.paused > 0 then M.paused = M.paused - call('HDEL', PAUSED, user) end
  V.forget_tally(user)
  names[#names + 1] = N.user(user) .. 'n'
  names[#names + 1] = N.user(user) .. 'z'
  names[#names + 1] = N.schedules(user)
  names[#names + 1] = N.user(user) .. 'e'
  for at = 1, #names, UNPACK_MAX do
    call('UNLINK', unpack(names, at, math.min(at + UNPACK_MAX - 1, #names)))
  end
  call('SREM', USERS, user)
  return { 'done' }
end

-- Takes a user out of a part of a list of ended tasks, counted from its end: what is added or swept
-- meanwhile moves nothing of it. An entry that names nobody is swept at its turn.
--
-- reads:   user, keep_s, first, last
function V.unlist(take)
  local user, name, first, last = take() .. ',', N.sweep(take()), tonumber(take()), tonumber(take())
  local entries = call('LRANGE', name, first, last)
  -- Where the list is shorter, what was read begins later.
  local at = last - #entries + 1
  for i = 1, #entries do
    if string.sub(entries[i], 1, #user) == user then
      call('LSET', name, at + i - 1, '-')
    end
  end
  return { 'done' }
end
