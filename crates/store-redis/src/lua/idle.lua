-- idle: what follows for a worker whose claim was answered: it parks, passes on a wake, and looks again
-- at a time.
--
-- reads:   what sync reads
-- replies: what sync replies
-- moves:   nothing

-- A worker that got nothing is woken when there is something in these queues.
function V.park(queues, worker)
  local lt = int(lease_time())
  for i = 1, #queues do
    if call('ZADD', N.idle(queues[i]), lt, worker) == 1 then call('SADD', PARKED, queues[i]) end
  end
end

-- A call that was woken and leaves work behind wakes one more: a count and queues, from ARGV[at] on.
function V.pass_on(at)
  for i = at + 1, at + tonumber(ARGV[at]) do
    local queue = ARGV[i]
    if V.may_start(queue) and call('EXISTS', N.ring(queue)) == 1 then V.wake(queue, 1) end
  end
end

-- In how many ms a worker looks again that was given `count` tasks; -1 for when it is woken. Ends that
-- are still to be told are told at once.
local function next_in(count, maintained, leads)
  if M.behind then return 0 end
  if not (maintained or count == 0) then return -1 end
  -- What maintenance found is still so, but for leases that were given out since.
  local due = M.first_due or call('ZRANGE', DUE, 0, 0, 'WITHSCORES')
  local lost = count == 0 and M.first_lease or call('ZRANGE', LEASES, 0, 0, 'WITHSCORES')
  local good = M.th > 0 and call('ZRANGE', THROTTLED, 0, 0, 'WITHSCORES') or {}
  local over = M.ex > 0 and call('ZRANGE', UNSTARTED, 0, 0, 'WITHSCORES') or {}
  -- Maintenance finds what is due, over or lost, and before it is due nobody does.
  local since, found = now() - M.mt, 0
  if since >= 0 and since < MAINTENANCE_MS then found = MAINTENANCE_MS - since end
  local next_ms = -1
  local function by(wait)
    if next_ms < 0 or wait < next_ms then next_ms = wait end
  end
  if due[2] then by(math.max(found, tonumber(due[2]) - now())) end
  if over[2] then by(math.max(found, tonumber(over[2]) - now())) end
  -- Lease time moves by looks: where nobody else looks, a lease would end late, and a rate would be
  -- good late.
  local most = M.unwatched and LEASE_TIME_STEP_MS_MAX or LOOK_MS_MAX
  if lost[2] then by(math.min(most, math.max(found, tonumber(lost[2]) - lease_time()))) end
  if good[2] then by(math.min(most, math.max(0, tonumber(good[2]) - lease_time()))) end
  return leads > 0 and 0 or next_ms
end

-- What a sync replies, when all is written.
local EVEN = { {}, {}, {}, {} }
function V.answer(
  refused, cancelled, adopted, claimed, count, more, maintained, leads, uneven, stopped
)
  local next_ms = next_in(count, maintained, leads)
  local schedule_ms = M.sc and math.max(0, M.sc - now()) or -1
  uneven = uneven or EVEN
  return {
    M.epoch, refused, cancelled, adopted, claimed, more, int(next_ms), int(schedule_ms),
    int(M.queues_version), uneven[1], uneven[2], uneven[3], uneven[4], stopped,
  }
end
