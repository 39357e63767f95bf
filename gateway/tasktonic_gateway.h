/* libtasktonic_gateway.so: the front door's verdict, for nginx. The code is crates/auth-ffi.
 *
 * A request is a list of netstrings (length in bytes, colon, bytes): the request line, the client's
 * address, the request's id, then names and values of its headers in turn.
 *
 * A verdict is texts, one a line: the place (a location of nginx.conf) that goes on with it; the
 * user; the client to count; the body, or where a redirect leads; a cookie to set; then names and
 * values of headers in turn, an empty value for one that does not go on.
 *
 * Every buffer is the caller's. Negative results: -1 null, -2 not a request, -3 buffer too small,
 * -4 no door document yet, -5 document refused (the old one stays), -99 a panic inside. */
#ifndef TASKTONIC_GATEWAY_H
#define TASKTONIC_GATEWAY_H
#include <stddef.h>
#include <stdint.h>

typedef struct tt_gateway tt_gateway;

uint32_t tt_abi(void);
tt_gateway *tt_new(void);
void tt_free(tt_gateway *gateway);
int32_t tt_set_door(const tt_gateway *gateway, const char *json, size_t len, char *out, size_t cap);
int32_t tt_guard(const tt_gateway *gateway, const char *request, size_t len, int64_t now_s, char *out, size_t cap);
int32_t tt_wants_keys(const tt_gateway *gateway);

#endif
