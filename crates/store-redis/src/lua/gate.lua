-- gate: what is set of queues and users, and whether tasks of a user may start in a queue: as in
-- `gate.rs` and `settings.rs` of core.
--
-- reads:   meta fields q:<queue> = 1 if anything is set of its users, more by one for each of them
--          whom it limits, and what is set of the queue: paused, most waiting tasks of a user, most
--          that run at once, how many start in how many ms and how many at once, 1 if turns are by
--          run time, most that run at once over all users, and how many start in how many ms and how
--          many at once over all users; settings of users: weight, and the same but for the last five.
--          Numbers between commas, empty where nothing is set; further parts may follow.
-- replies: nothing
-- moves:   nothing

-- What the field q:<queue> says; nothing where there is none.
function V.queue(text)
  if not text then return nil end
  local users, paused, most, running, tasks, per_ms, burst, timed, total, all, all_per_ms, all_burst =
    string.match(text .. ',,,,,,,,,,,,',
      '^(%d*),(%d*),(%d*),(%d*),(%d*),(%d*),(%d*),(%d*),(%d*),(%d*),(%d*),(%d*),')
  users = tonumber(users) or 0
  return {
    users = users > 0, limited = math.max(0, users - 1),
    paused = paused == '1', most = tonumber(most), running = tonumber(running),
    rate = V.rate and V.rate(tasks, per_ms, burst), timed = timed == '1', total = tonumber(total),
    rate_total = V.rate and V.rate(all, all_per_ms, all_burst), rated = all ~= '',
  }
end

-- What is set of queues, as far as it has been read.
local sets
each_call(function() sets = {} end)

-- The field of a queue has been read.
function V.learn_queue(queue, text)
  sets[queue] = V.queue(text) or false
end

-- What is set of a queue, if anything is.
function V.set_of(queue)
  if sets[queue] == nil then V.learn_queue(queue, call('HGET', META, 'q:' .. queue)) end
  return sets[queue]
end

-- Whether anything limits how tasks of a user start, so that those that run are counted. `set` is
-- what `V.queue` answers.
function V.is_counted(set)
  return set and (set.running ~= nil or set.limited > 0) or false
end

-- Whether anything limits in which time tasks of a user start.
function V.is_paced(set)
  return set and (set.rate ~= nil or set.limited > 0) or false
end

-- Whether turns are by run time.
function V.is_timed(set) return set and set.timed or false end

-- What the field says of users.
function V.said_users(set)
  return set and set.users and 1 + set.limited or 0
end

-- What is set of the queue itself in that field.
function V.of_queue(text)
  local rest = string.match(text or '', ',(.*)$') or ''
  return string.find(rest, '%d') and rest or ''
end

-- Writes the field, which said `before` until now: of how many users anything is set, as the field
-- says it, and what is set of the queue.
function V.set_queue(queue, before, users, text)
  if users > 0 or text ~= '' then
    local field = (users > 0 and int(users) or '') .. ',' .. text
    call('HSET', META, 'q:' .. queue, field)
    V.learn_queue(queue, field)
  else
    call('HDEL', META, 'q:' .. queue)
    V.learn_queue(queue, false)
  end
  local is_counted = V.is_counted(V.set_of(queue))
  if is_counted ~= V.is_counted(before) then V.recount(queue, is_counted) end
  if V.is_paced(before) and not V.is_paced(V.set_of(queue)) then V.drop_pace(queue) end
  local was_limited = before and before.total ~= nil or false
  local set = V.set_of(queue)
  local is_limited = set and set.total ~= nil or false
  if is_limited ~= was_limited then V.start_total(queue, is_limited) end
  local former, rate = before and before.rate_total, set and set.rate_total
  if (former and former.text) ~= (rate and rate.text) then V.change_rate_total(queue, rate) end
  local is_timed = V.is_timed(V.set_of(queue))
  if is_timed ~= V.is_timed(before) then V.drop_turns(queue, is_timed) end
end

-- What is set of a user in a queue.
local NOTHING = { weight = 1, paused = false }
function V.user_settings(text)
  if not text then return NOTHING end
  local weight, paused, most, running, tasks, per_ms, burst =
    string.match(text .. ',,,,,,,', '^(%d*),(%d*),(%d*),(%d*),(%d*),(%d*),(%d*),')
  return {
    weight = tonumber(weight) or 1, paused = paused == '1', most = tonumber(most),
    running = tonumber(running), rate = V.rate and V.rate(tasks, per_ms, burst),
  }
end

-- Whether settings of a user limit how their tasks start.
function V.limits(settings) return settings.running ~= nil or settings.rate ~= nil end

-- Whether anybody's tasks may start in a queue. `set` is what `V.queue` answers.
function V.is_open(set) return not (set and set.paused) end

-- Whether anything may be handed out in a queue of which nothing has been read, as far as this partition
-- decides it. `meta` counts those of which not everything may be.
function V.is_open_by_name(queue)
  if M.closed == 0 then return true end
  local set = V.set_of(queue)
  return V.is_open(set) and not V.is_at_limit(queue, set)
end

-- What keeps tasks of a user from starting in an open queue: 'user' if all their work is paused,
-- 'full' what is set of them there; nothing if they may, and then how many may start. With 'full'
-- comes the lease time at which one may, where it is a matter of that. `paused` is whether all their
-- work is; `running` how many of theirs run there, and `pace` what started, where those count.
function V.gate(settings, paused, set, running, pace)
  if paused then return 'user' end
  if settings.paused then return 'full' end
  local most, room = settings.running or (set and set.running), math.huge
  -- Where nothing is counted, what is set has not been announced yet: repair does it.
  running = running or 0
  if most then
    if running >= most then return 'full' end
    room = most - running
  end
  local rate = settings.rate or (set and set.rate)
  if pace then pace.rate = rate end
  if rate then
    local full = pace and pace.full or 0
    local allowed = V.allowed(rate, full)
    if allowed == 0 then
      -- What was kept may be of another rate: from now on it is of this one.
      if pace then pace.full = V.made_up_at(rate, full) end
      return 'full', V.good_at(rate, full)
    end
    room = math.min(room, allowed)
  end
  return nil, room
end
