-- Asks Rust for the verdict on each request and applies it. It has no rule of its own, and what it
-- cannot ask about is refused with 503. What crosses is described in tasktonic_gateway.h.
local ffi, shared = require "ffi", ngx.shared.tt_door
local EVERY_S, ASKED_S, CAP = 5, 30, 131072            -- between refreshes; between asked ones; bytes of the buffer
local ASK = "GET /door HTTP/1.0\r\nHost: tasktonic-gateway\r\n\r\n"
local out, M, lib, gateway, seen = ffi.new("char[?]", CAP), {}, nil, nil, nil

-- A library cut short by a bad copy kills the worker with SIGBUS inside dlopen, which no pcall can
-- catch: so its length is compared with the end of the section table, the last thing in the file.
local function whole(path)
  local file = assert(io.open(path, "rb"))
  local head, size = file:read(64) or "", file:seek("end")
  local half, word = ffi.cast("const uint16_t *", head), ffi.cast("const uint64_t *", head)
  return #head == 64 and head:sub(1, 5) == "\127ELF\2" and tonumber(word[5]) + half[29] * half[30] <= size
end

local function set(document)                           -- all or nothing: a bad document leaves the old one in place
  return lib.tt_set_door(gateway, document, #document, out, CAP) == 0 or ngx.log(ngx.ERR, "door document refused: ", ffi.string(out))
end

local function adopt()                                 -- what worker 0 has proven; after a reload at once
  if shared:get("generation") ~= seen then seen = shared:get("generation"); set(shared:get("document")) end
end

local function refresh(doors)                          -- proven here before any other worker, or a reload, can see it
  if ngx.worker.id() ~= 0 or not shared:add("fresh", true, seen and EVERY_S or 1) then return end
  for _, door in ipairs(doors) do
    local socket = ngx.socket.tcp()
    socket:settimeouts(500, 500, 2000)                 -- ms
    local answer = socket:connect(unpack(door)) and socket:send(ASK) and socket:receive("*a") or "nothing"
    local document = answer:match("^HTTP/1%.%d 200 .-\r\n\r\n(.*)$")
    if document and document == shared:get("document") then return end
    if document and set(document) then return shared:set("document", document), shared:incr("generation", 1, 0) end
    ngx.log(ngx.WARN, "no usable door document from ", door[1], "; what there was stays")
  end
end

-- Only in workers: what the master loads stays mapped for ever, also after the file was replaced.
-- An error here is logged by nginx, and leaves a worker that refuses everything.
function M.open(header, library, doors)
  ffi.cdef((assert(io.open(header)):read("*a"):gsub("#[^\n]*", "")))
  assert(whole(library), library .. " is no complete ELF file; put it there with mv, never with cp")
  lib = ffi.load(library)
  assert(lib.tt_abi() == 1, library .. " speaks another ABI; install both from one release")
  gateway = lib.tt_new()
  adopt()
  local function tick(premature) if not premature then refresh(doors); adopt() end end
  assert(ngx.timer.at(0, tick) and ngx.timer.every(1, tick))
end

-- In the rewrite phase: the limits come before the access phase, and would count an empty user there.
function M.guard()
  local var, texts, verdict = ngx.var, {}, {}
  local function put(text) texts[#texts + 1] = #text .. ":" .. text end
  put(var.request); put(var.remote_addr); put(var.request_id)
  for name, values in pairs(ngx.req.get_headers(0, true)) do
    for _, value in ipairs(type(values) == "table" and values or { values }) do put(name); put(value) end
  end
  local request = table.concat(texts)
  local function ask() return gateway and lib.tt_guard(gateway, request, #request, ngx.time(), out, CAP) or -1 end
  local size = ask(); if size < 0 and gateway then adopt(); size = ask() end  -- worker 0 may just have proven it
  if size < 0 then return ngx.exit(503) end
  for line in ffi.string(out, size):gmatch("([^\n]*)\n") do verdict[#verdict + 1] = line end
  var.tt_user, var.tt_client, var.tt_body, var.tt_cookie = verdict[2], verdict[3], verdict[4], verdict[5]
  for i = 6, #verdict, 2 do ngx.req.set_header(verdict[i], verdict[i + 1] ~= "" and verdict[i + 1] or nil) end
  if lib.tt_wants_keys(gateway) == 1 and shared:add("asked", true, ASKED_S) then shared:delete("fresh") end
  return ngx.exec(verdict[1])
end

return M
