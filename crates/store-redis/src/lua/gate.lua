-- gate: what is set of queues and users, and whether tasks of a user may start in a queue: as in
-- `gate.rs` and `settings.rs` of core.
--
-- reads:   meta fields q:<queue> = 1 if anything is set of its users, and what is set of it: paused,
--          most waiting tasks of a user; settings of users: weight, paused, most waiting tasks.
--          Numbers between commas, empty where nothing is set; further parts may follow.
-- replies: nothing
-- moves:   nothing

-- What the field q:<queue> says; nothing where there is none.
function V.queue(text)
  if not text then return nil end
  local users, paused, most = string.match(text .. ',,,', '^(%d*),(%d*),(%d*),')
  return { users = users == '1', paused = paused == '1', most = tonumber(most) }
end

-- What is set of the queue itself in that field.
function V.of_queue(text)
  local rest = string.match(text or '', ',(.*)$') or ''
  return string.find(rest, '%d') and rest or ''
end

-- Writes the field; `users` whether anything is set of users, `text` what is set of the queue.
function V.set_queue(queue, users, text)
  if users or text ~= '' then
    call('HSET', META, 'q:' .. queue, (users and '1,' or ',') .. text)
  else
    call('HDEL', META, 'q:' .. queue)
  end
end

-- What is set of a user in a queue.
function V.user_settings(text)
  local weight, paused, most = string.match((text or '') .. ',,,', '^(%d*),(%d*),(%d*),')
  return { weight = tonumber(weight) or 1, paused = paused == '1', most = tonumber(most) }
end

-- Whether anybody's tasks may start in a queue. `set` is what `V.queue` answers.
function V.is_open(set) return not (set and set.paused) end

-- The same of a queue of which nothing has been read. `meta` counts those that are not open.
function V.is_open_by_name(queue)
  return M.closed == 0 or V.is_open(V.queue(call('HGET', META, 'q:' .. queue)))
end

-- What keeps tasks of a user from starting in an open queue: 'user' if all their work is paused,
-- 'full' what is set of them there; nothing if they may. `paused` is whether all their work is.
function V.gate(settings, paused)
  if paused then return 'user' end
  if settings.paused then return 'full' end
end
