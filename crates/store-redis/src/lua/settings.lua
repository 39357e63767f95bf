-- settings: what is set of queues, of users in them, and whose work is paused.
--
-- reads:   queues: version, a count and queues, each with what is set of it
--          user: queue, user, what is set of them or ''
--          pause: user, 'u' or 'o' who says so, '1' or ''
--          bytes: user, how many bytes their tasks may hold or ''
-- replies: 'done', or 'changed' where a newer version is there; queues: then those whose limit over all
--          users has to be shared by the partitions, and r:<queue> of those whose rate over all users has
-- moves:   nothing

-- What limits how tasks of a user start, to tell it from another.
function V.limits_as(set)
  if not set then return ';' end
  return (set.running or '') .. ';' .. (set.rate and set.rate.text or '')
end

-- The rate over all users, to tell it from another.
function V.rate_as(set) return set and set.rate_total and set.rate_total.text or '' end

-- Adds a queue that has, or had, a limit of which other partitions have their parts.
local function add_shared(answer, queue, before, after)
  local is_limited = after and after.total
  local is_shared = is_limited and V.total(queue).n
  if is_shared or (not is_limited and before and before.total) then answer[#answer + 1] = queue end
  local is_rated = after and after.rate_total
  local is_told = is_rated and V.shares_rate(queue)
  if is_told or (not is_rated and before and before.rate_total) then answer[#answer + 1] = 'r:' .. queue end
end

-- Everything set of queues, at once. `meta` keeps which they are in `queues`.
function V.queues(take)
  local version, wanted, order, fields = tonumber(take()), {}, {}, {}
  for _ = 1, tonumber(take()) do
    local queue = take()
    if not wanted[queue] then order[#order + 1] = queue end
    wanted[queue] = take()
  end
  if version < M.queues_version then return { 'changed' } end
  local answer = { 'done' }
  if version == M.queues_version then
    -- Whoever set it may not have come as far as sharing it.
    for i = 1, #order do add_shared(answer, order[i], nil, V.set_of(order[i])) end
    return answer
  end
  for queue in string.gmatch(call('HGET', META, 'queues') or '', '%S+') do
    if not wanted[queue] then
      order[#order + 1] = queue
      wanted[queue] = ''
    end
  end
  table.sort(order)
  for i = 1, #order do fields[i] = 'q:' .. order[i] end
  local known = #fields > 0 and call('HMGET', META, unpack(fields)) or {}
  local names, opened = {}, {}
  M.closed = 0
  for i = 1, #order do
    local queue, text = order[i], wanted[order[i]]
    local before = V.queue(known[i])
    V.set_queue(queue, before, V.said_users(before), text)
    local after = V.queue(',' .. text)
    local let_in = V.limits_as(before) ~= V.limits_as(after) and V.let_all_in(queue)
    if text ~= '' then names[#names + 1] = queue end
    if not V.is_open(after) or after.total or after.rate_total then M.closed = M.closed + 1 end
    add_shared(answer, queue, before, after)
    local is_wider = before and before.total and before.total ~= after.total
    local is_other = before and before.rate_total and V.rate_as(before) ~= V.rate_as(after)
    if V.is_open(after) and (let_in or is_wider or is_other or not V.is_open(before)) then
      opened[#opened + 1] = queue
    end
  end
  M.queues_version = version
  call('HSET', META, 'queues', table.concat(names, ' '), 'queues_version', int(version),
    'closed', int(M.closed))
  for i = 1, #opened do
    if V.may_start(opened[i]) and call('EXISTS', N.ring(opened[i])) == 1 then
      V.wake(opened[i], WAKES_MAX)
    end
  end
  return answer
end

-- Keeps what holds for one user in a queue, nothing of which is not kept; answers whether it is
-- another than before.
function V.keep_user(queue, user, text)
  local name = N.overrides(queue)
  local old = call('HGET', name, user) or ''
  if old == text then return false end
  if text ~= '' then call('HSET', name, user, text) else call('HDEL', name, user) end
  local exist = call('EXISTS', name) == 1
  local known = call('HGET', META, 'q:' .. queue)
  local set = V.queue(known)
  if not exist then call('UNLINK', N.credit(queue)) end
  local said, limited = V.said_users(set), set and set.limited or 0
  if V.limits(V.user_settings(old)) then limited = limited - 1 end
  if V.limits(V.user_settings(text)) then limited = limited + 1 end
  local users = exist and 1 + math.max(0, limited) or 0
  if users ~= said then V.set_queue(queue, set, users, V.of_queue(known)) end
  return true
end

-- What holds for one user in a queue. A lane that was set aside gets in again, and is looked at
-- when its turn comes.
function V.user(take)
  local queue, user, text = take(), take(), take()
  if not V.keep_user(queue, user, text) then return { 'done' } end
  if call('ZREM', N.full(queue), user) == 1 then
    call('RPUSH', N.ring(queue), user)
    V.wake_for({ queue })
  end
  return { 'done' }
end

-- How many bytes the tasks of a user may hold.
function V.bytes(take)
  local user, max = take(), take()
  local tally = V.tally(user)
  V.want_tally(tally)
  V.fetch()
  if (V.bytes_max(tally) or '') == max then return { 'done' } end
  V.set_bytes_max(tally, max ~= '' and max)
  return { 'done' }
end

-- All work of a user: by whom it is paused, 'u' the user and 'o' an operator.
function V.pause(take)
  local user, by, paused = take(), take(), take() == '1'
  local before, after = call('HGET', PAUSED, user) or '', ''
  for letter in string.gmatch('uo', '.') do
    local stays = letter ~= by and string.find(before, letter, 1, true)
    if stays or (letter == by and paused) then after = after .. letter end
  end
  if after == before then return { 'done' } end
  if after ~= '' then
    M.paused = M.paused + call('HSET', PAUSED, user, after)
    return { 'done' }
  end
  M.paused = M.paused - call('HDEL', PAUSED, user)
  local name = N.user(user) .. 'z'
  local queues = call('SMEMBERS', name)
  call('UNLINK', name)
  table.sort(queues)
  for i = 1, #queues do call('RPUSH', N.ring(queues[i]), user) end
  V.wake_for(queues)
  return { 'done' }
end
