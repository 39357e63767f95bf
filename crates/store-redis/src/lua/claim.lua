-- claim: hand out work; whose turn it is, pick says.
--
-- reads:   the caller: worker.call, lease_ms; queues in order, how many places there are, and how many
--          a task of each queue takes where that is not 1; what is set of each queue, see gate
-- replies: claimed tasks: token, writes so far, descriptor, state; lanes left over; the queue whose turn
--          it was when too few places were left for its next task, if any
-- moves:   queued -> running, queued -> cancelled

function V.claim(holder, lease_ms, queues, limit, places)
  local claimed, count, looks, leases, ended = {}, 0, CLAIM_LOOKS_MAX, {}, { order = {} }
  local left, stopped = limit, nil
  local deadline, at, worker = int(lease_time() + lease_ms), int(now()), ',"w":"' .. holder .. '"'
  for i = 1, #queues do
    local queue, each, before = queues[i], places[i] or 1, count
    local set = V.set_of(queue)
    local is_counted, is_paced, is_timed = V.is_counted(set), V.is_paced(set), V.is_timed(set)
    while true do
      local need = math.min(math.floor(left / each), CLAIM_MAX - count, looks)
      local picked, aside = V.pick(queue, need, set)
      if not picked then break end
      looks = math.max(0, looks - math.max(1, #picked + aside))
      for j = 1, #picked do V.want(picked[j].r, true) end
      V.fetch()
      V.settle()
      for j = 1, #picked do
        local one = picked[j]
        local r = one.r
        if not (r.d and not r.gone and r.s == 'queued' and int(r.c) == one.c) then
          V.add_dead(V.extra(one.u, queue), -1)
        elseif r.x and V.is_expired(r) then
          V.leave_line(r, queue)
          V.stop_waiting(r, queue, EXPIRED, r.k, ended)
        else
          if r.x then V.drop_expiry(r, queue) end
          r.s, r.n, r.a, r.w = 'running', r.n + 1, read(one.a), holder
          V.write(r, at, worker, '', '')
          local token = queue .. '|' .. one.u .. '|' .. one.t .. '|' .. one.a .. '|' .. one.c .. '|' .. holder
          leases[#leases + 1] = deadline
          leases[#leases + 1] = token
          claimed[#claimed + 1] = token
          claimed[#claimed + 1] = r.n
          claimed[#claimed + 1] = r.d
          claimed[#claimed + 1] = r.text
          count, left = count + 1, left - each
          if is_counted then V.count_running(queue, one.u, 1) end
          if set and set.total then V.count_total(queue, set, 1) end
          V.count_start(queue, set)
          if is_paced then V.starts(queue, one.u) end
          if is_timed then V.charge(queue, one.u, one.t) end
        end
      end
    end
    -- A queue that has had something had its turn: what is left is for the others.
    if left > 0 and left < each and count == before then
      local is_next
      is_next, looks = V.is_next(queue, looks, set)
      if is_next then
        stopped = queue
        break
      end
    end
  end
  if #leases > 0 then call('ZADD', LEASES, unpack(leases)) end
  V.list_ended(ended)
  -- With looks left, every ring named is empty now, or its queue hands out nothing.
  local more = 0
  if looks == 0 and left > 0 and not stopped then
    for i = 1, #queues do
      local set = V.set_of(queues[i])
      if V.is_open(set) and V.may_start(queues[i]) then
        more = more + call('LLEN', N.ring(queues[i]))
      end
    end
  end
  return claimed, count, more, stopped
end
