-- schedule: make, change or remove one of a user's schedules.
--
-- reads:   user, name, version seen or '', the version it becomes or '' to remove it, followed by
--          next_ms or '' and the whole as it is kept
-- replies: 'done', 'changed', 'absent' or 'full'
-- moves:   nothing
--
-- A schedule is kept under its user as `version|next|text`, and is listed in `schedules` by its next
-- tick unless it rests. `sc` of `meta` is the first of these times, so that a call knows without a
-- command whether one is due.

-- Version and next tick of a schedule, texts; nothing if there is none.
function V.known_schedule(user, name)
  local kept = call('HGET', N.schedules(user), name)
  return string.match(kept or '', '^(%d+)|(%-?%d*)|')
end

-- Keeps in `meta` when the first tick comes.
function V.keep_first_tick()
  local first = call('ZRANGE', SCHEDULES, 0, 0, 'WITHSCORES')[2]
  if first then
    call('HSET', META, 'sc', int(tonumber(first)))
    M.sc = tonumber(first)
  else
    call('HDEL', META, 'sc')
    M.sc = nil
  end
end

-- Replaces a schedule, or removes it where `kept` is nothing.
function V.keep_schedule(user, name, next_ms, kept)
  local member = user .. ',' .. name
  if kept then
    call('HSET', N.schedules(user), name, kept)
  else
    call('HDEL', N.schedules(user), name)
  end
  if kept and next_ms ~= '' then
    call('ZADD', SCHEDULES, next_ms, member)
  else
    call('ZREM', SCHEDULES, member)
  end
  V.keep_first_tick()
end

function V.schedule(take)
  local user, name, seen, becomes = take(), take(), take(), take()
  local next_ms, kept
  if becomes ~= '' then next_ms, kept = take(), take() end
  local known = V.known_schedule(user, name)
  if known then
    if known ~= seen then return { 'changed' } end
  elseif seen ~= '' or not kept then
    return { 'absent' }
  elseif call('HLEN', N.schedules(user)) >= SCHEDULES_MAX then
    return { 'full' }
  end
  V.keep_schedule(user, name, next_ms, kept)
  if kept then call('SADD', USERS, user) end
  return { 'done' }
end
