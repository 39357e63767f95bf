-- sync: everything a worker has to say, and its next claim.
--
-- reads:   ARGV[3] worker, call, lease_ms; operations, see report; '' or '1' and a claim: limit,
--          a count and queues, '1' to park if nothing is claimed; a count and queues it was woken
--          for. With '2' instead of '1' there are behind the queues of the claim as many numbers: how
--          many places a task of each takes
-- replies: { epoch, refused, cancelled, adopted, claimed, more, next_in_ms or -1,
--          schedule_in_ms or -1, version of what is set of queues; queues whose permits should be
--          balanced: as this call found out, and as it still is; the same of queues whose starts
--          should be shared out again; the queue whose next task takes more places than were left, if
--          the claim stopped there }
-- moves:   by report, maintain and claim

local worker, number = take(), take()
local lease_ms, holder = read(take()), worker .. '.' .. number
local ops = V.read_ops(take)
local claims, limit, queues, places, park = take(), 0, {}, {}, false
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
if claims ~= '' then
  limit = read(take())
  for i = 1, read(take()) do
    queues[i] = take()
    ask(queues[i])
  end
  if claims == '2' then
    for i = 1, #queues do places[i] = read(take()) end
  end
  park = take() == '1'
end
local woken = next_arg

local refusal = V.begin(fields)
if refusal then return refusal end
for i = 1, #fields do V.learn_queue(string.sub(fields[i], 3), M[i]) end

local cancelled, adopted, claimed, count, more, stopped = {}, {}, {}, 0, 0, nil
local refused = V.report(ops, lease_ms, cancelled)
if M.fl > 0 then
  -- What an end sets free may go to this very caller.
  V.fetch()
  V.settle()
  V.lead_on()
end
V.let_through()
local maintained = V.maintain(holder, lease_ms, adopted)
if claims ~= '' then
  claimed, count, more, stopped = V.claim(holder, lease_ms, queues, limit, places)
  -- Whom it stopped has work to come back for; a wake is for others.
  if park and count == 0 and not stopped then V.park(queues, worker) end
end
V.fetch()
V.settle()
V.lead_on()
V.settle_lines()
V.pass_on(woken)
V.wake_for_room()
V.rest(queues, woken)
local uneven = { V.uneven(maintained) }
uneven[3], uneven[4] = V.uneven_hands(maintained)
local leads = V.leads_left()
V.finish()
return V.answer(refused, cancelled, adopted, claimed, count, more, maintained, leads, uneven, stopped)
