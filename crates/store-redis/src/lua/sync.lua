-- sync: everything a worker has to say, and its next claim.
--
-- reads:   ARGV[3] worker, call, lease_ms; operations, see report; '' or '1' and a claim: limit,
--          a count and queues, '1' to park if nothing is claimed; a count and queues it was woken
--          for
-- replies: { epoch, refused, cancelled, adopted, claimed, more, next_in_ms or -1,
--          schedule_in_ms or -1, version of what is set of queues; queues whose permits should be
--          balanced: as this call found out, and as it still is }
-- moves:   by report, maintain and claim

local worker, number = take(), take()
local lease_ms, holder = read(take()), worker .. '.' .. number
local ops = V.read_ops(take)
local claims, limit, queues, park = take() == '1', 0, {}, false
-- Queues of which it matters what is set: those of the claim, and of what may end.
local fields, asked = {}, {}
local function ask(queue)
  if asked[queue] then return end
  asked[queue] = true
  fields[#fields + 1] = 'q:' .. queue
end
for i = 1, #ops do
  if ops[i].q then ask(ops[i].q) end
end
if claims then
  limit = read(take())
  for i = 1, read(take()) do
    queues[i] = take()
    ask(queues[i])
  end
  park = take() == '1'
end
local woken = {}
for i = 1, read(take()) do woken[i] = take() end

local refusal = V.begin(fields)
if refusal then return refusal end
for i = 1, #fields do V.learn_queue(string.sub(fields[i], 3), M[i]) end

local cancelled, adopted, claimed, count, more = {}, {}, {}, 0, 0
local refused = V.report(ops, lease_ms, cancelled)
if M.fl > 0 then
  -- What an end sets free may go to this very caller.
  V.fetch()
  V.settle()
  V.lead_on()
end
V.let_through()
local maintained = V.maintain(holder, lease_ms, adopted)
if claims then
  claimed, count, more = V.claim(holder, lease_ms, queues, limit)
  if park and count == 0 then
    local lt = int(lease_time())
    for i = 1, #queues do
      if call('ZADD', N.idle(queues[i]), lt, worker) == 1 then call('SADD', PARKED, queues[i]) end
    end
  end
end
V.fetch()
V.settle()
V.lead_on()
V.settle_lines()
-- A call that was woken and leaves work behind wakes one more.
for i = 1, #woken do
  if V.may_start(woken[i]) and call('EXISTS', N.ring(woken[i])) == 1 then V.wake(woken[i], 1) end
end
V.wake_for_room()
local uneven, still = V.uneven(maintained)
local next_in = -1
if M.behind then
  next_in = 0
elseif maintained or count == 0 then
  -- What maintenance found is still so, but for leases that were given out since.
  local due = M.first_due or call('ZRANGE', DUE, 0, 0, 'WITHSCORES')
  local lost = count == 0 and M.first_lease or call('ZRANGE', LEASES, 0, 0, 'WITHSCORES')
  local good = M.th > 0 and call('ZRANGE', THROTTLED, 0, 0, 'WITHSCORES') or {}
  local over = M.ex > 0 and call('ZRANGE', UNSTARTED, 0, 0, 'WITHSCORES') or {}
  if due[2] then next_in = math.max(0, tonumber(due[2]) - now()) end
  if over[2] then
    local wait = math.max(0, tonumber(over[2]) - now())
    if next_in < 0 or wait < next_in then next_in = wait end
  end
  local first = tonumber(lost[2])
  if good[2] then first = math.min(first or math.huge, tonumber(good[2])) end
  if first then
    local wait = math.max(0, first - lease_time())
    -- Lease time moves by looks: where nobody else looks, a lease would end late, and a rate would be
    -- good late.
    wait = math.min(wait, M.unwatched and LEASE_TIME_STEP_MS_MAX or LOOK_MS_MAX)
    if next_in < 0 or wait < next_in then next_in = wait end
  end
end
if V.leads_left() > 0 and (maintained or count == 0) then next_in = 0 end
local schedule_in = M.sc and math.max(0, M.sc - now()) or -1
V.finish()
return {
  M.epoch, refused, cancelled, adopted, claimed, more, int(next_in), int(schedule_in),
  int(M.queues_version), uneven, still,
}
