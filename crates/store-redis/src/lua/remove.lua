-- remove: takes away all that is kept of tasks.
--
-- reads:   records whose tasks are over, and their ties where there are any
-- replies: nothing
-- moves:   terminal -> gone

function V.remove(list)
  local names, untied = {}, {}
  if M.fl > 0 then
    for i = 1, #list do V.want(list[i], false, true) end
    V.fetch()
  end
  for i = 1, #list do
    local r = list[i]
    if r.exists ~= false then V.uncount(r) end
    if r.f then V.drop_links(r, names, untied) end
    for _, letter in ipairs({ 'd', 't', 'a', 'o' }) do
      names[#names + 1] = r.U .. letter .. ':' .. r.t
    end
  end
  for i = 1, #names, UNPACK_MAX do
    call('UNLINK', unpack(names, i, math.min(i + UNPACK_MAX - 1, #names)))
  end
  V.untie(untied)
  for i = 1, #list do
    local r = list[i]
    call('ZREMRANGEBYLEX', r.U .. 'i', '[' .. r.t, '[' .. r.t .. '\255')
    if LISTED[r.was] then V.unlist_state(r) end
  end
end
