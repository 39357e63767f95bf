-- Asks Rust for the verdict on each request and applies it. It has no rule of its own, and what it
-- cannot ask about is refused with 503. What crosses is described in tasktonic_gateway.h.
local ffi, base, shared = require "ffi", require "resty.core.base", ngx.shared.tt_door
local EVERY_S, ASKED_S, CAP = 5, 30, 512               -- between refreshes; between asked ones; bytes of a reason
local ASK, FIELDS = "GET /door HTTP/1.0\r\nHost: tasktonic-gateway\r\n\r\n", ffi.typeof("ngx_http_lua_ffi_table_elt_t *")
local C, M, out, more, lib, gateway, seen, asked, verdict = ffi.C, {}, ffi.new("char[?]", CAP), ffi.new("int[1]")

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
    local socket = ngx.socket.tcp(); socket:settimeouts(500, 500, 2000)  -- ms
    local answer = socket:connect(unpack(door)) and socket:send(ASK) and socket:receive("*a")
    local document = (answer or ""):match("^HTTP/1%.%d 200 .-\r\n\r\n(.*)$")
    if document and document == shared:get("document") then return end
    if document and set(document) then return shared:set("document", document), shared:incr("generation", 1, 0) end
    ngx.log(ngx.WARN, "no usable door document from ", door[1], "; what there was stays")
  end
end

-- Only in workers: what the master loads stays mapped for ever, also after the file was replaced.
-- An error here is logged by nginx, and leaves a worker that refuses everything.
function M.open(header, library, doors)
  ffi.cdef((assert(io.open(header)):read("*a"):gsub("#[^\n]*", "")))
  lib = ffi.load(assert(whole(library) and library, library .. " is no complete ELF file; put it there with mv, never with cp"))
  assert(lib.tt_abi() == 2, library .. " speaks another ABI; install both from one release")
  gateway, asked, verdict = lib.tt_new(), ffi.new("tt_request"), ffi.new("tt_verdict")
  adopt()
  local function tick(premature) if not premature then refresh(doors); adopt() end end
  assert(ngx.timer.at(0, tick) and ngx.timer.every(1, tick))
end

local function text(of) return ffi.string(of.data, of.len) end

local function change(field) ngx.req.set_header(text(field.name), field.value.len > 0 and text(field.value) or nil) end

-- In the rewrite phase: the limits come before the access phase, and would count an empty user there.
-- Every request comes by here: its fields are shown to Rust where nginx has them, and nothing is done
-- that LuaJIT leaves to its interpreter (no closures, no pairs, no gmatch).
function M.guard()
  if not gateway then return ngx.exit(503) end
  local var, request = ngx.var, base.get_request()
  local line, address = var.request, var.remote_addr   -- held here while Rust looks at them
  asked.line.data, asked.address.data, asked.now_s = line, address, ngx.time()
  asked.line.len, asked.address.len = #line, #address
  asked.count = C.ngx_http_lua_ffi_req_get_headers_count(request, C.TT_FIELDS, more)
  C.ngx_http_lua_ffi_req_get_headers(request, ffi.cast(FIELDS, asked.fields), asked.count, 1)
  local code = lib.tt_guard(gateway, asked, verdict)
  if code ~= 0 then adopt(); code = lib.tt_guard(gateway, asked, verdict) end  -- worker 0 may just have proven it
  if code ~= 0 then return ngx.exit(503) end
  var.tt_user, var.tt_scheme, var.tt_client = text(verdict.user), text(verdict.scheme), text(verdict.client)
  if verdict.body.len > 0 then var.tt_body, var.tt_cookie = text(verdict.body), text(verdict.cookie) end
  for i = 0, verdict.count - 1 do change(verdict.changes[i]) end
  if verdict.wants_keys == 1 and shared:add("asked", true, ASKED_S) then shared:delete("fresh") end
  return ngx.exec(text(verdict.place))
end

return M
