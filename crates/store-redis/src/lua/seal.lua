-- seal: a batch has all its parts.
--
-- reads:   user, task
-- replies: one text: 'done', 'absent', or '!'state it is in
-- moves:   waiting -> waiting, waiting -> queued, waiting -> completed, waiting -> cancelled,
--          waiting -> dead

function V.seal(take)
  local user = take()
  local r = V.record(user, take())
  V.want(r, false, true)
  V.fetch()
  if not V.exists(r) then return { 'absent' } end
  local f = V.links(r)
  -- runs, grows, sealed
  if not f or not f.g or f.g[2] == 1 then return { '!' .. r.s } end
  if f.g[3] == 1 then return { 'done' } end
  if r.s ~= 'waiting' then return { '!' .. r.s } end
  f.g[3] = 1
  V.keep_links(r)
  local ringed, ended = {}, { order = {} }
  V.gathered(r, ringed, ended)
  V.list_ended(ended)
  V.wake_for(ringed)
  V.lead_on()
  return { 'done' }
end
