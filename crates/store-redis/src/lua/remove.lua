-- remove: takes away all that is kept of tasks.
--
-- reads:   records whose tasks have ended
-- replies: nothing
-- moves:   terminal -> gone

function V.remove(list)
  local names, index, order = {}, {}, {}
  for i = 1, #list do
    local r = list[i]
    for _, letter in ipairs({ 'd', 't', 'a', 'o' }) do
      names[#names + 1] = r.U .. letter .. ':' .. r.t
    end
    if not index[r.u] then
      index[r.u] = {}
      order[#order + 1] = r.u
    end
    table.insert(index[r.u], r.t)
  end
  if #names > 0 then call('UNLINK', unpack(names)) end
  for i = 1, #order do call('ZREM', N.user(order[i]) .. 'i', unpack(index[order[i]])) end
end
