/* libtasktonic_gateway.so: the front door's verdict, for nginx. The code is crates/auth-ffi.
 *
 * A request is its request line, the client's address, and its header fields as nginx has them in
 * memory; nothing is copied. With TT_FIELDS fields it is taken to have more.
 *
 * A verdict is the place (a location of nginx.conf) that goes on with it; the user; the client to
 * count; the body (JSON, up to the request's id and the last brace, which nginx.conf adds), or where
 * a redirect leads; a cookie to set; the scheme of the origin that was
 * named; and header fields that differ from what came, with no value for one that does not go on.
 * What nginx.conf says itself of every request that goes on is not among them (Connection, Upgrade,
 * Keep-Alive, TE, X-Forwarded-Host, X-Forwarded-Proto).
 * Its texts are the gateway's, and stand until the next request is asked about.
 *
 * A gateway is for one thread. Other buffers are the caller's. Negative results:
 * -1 null, -2 not a request, -4 no door document yet, -5 document refused (the old one stays),
 * -99 a panic inside. */
#ifndef TASKTONIC_GATEWAY_H
#define TASKTONIC_GATEWAY_H
#include <stddef.h>
#include <stdint.h>

enum { TT_FIELDS = 512 };

typedef struct tt_gateway tt_gateway;
typedef struct { int len; const char *data; } tt_text;
typedef struct { tt_text name, value; } tt_field;
typedef struct { tt_text line, address; int64_t now_s; int32_t count; tt_field fields[TT_FIELDS]; } tt_request;
typedef struct { tt_text place, user, client, body, cookie, scheme; int32_t wants_keys; int32_t count; const tt_field *changes; } tt_verdict;

uint32_t tt_abi(void);
tt_gateway *tt_new(void);
void tt_free(tt_gateway *gateway);
int32_t tt_set_door(tt_gateway *gateway, const char *json, size_t len, char *out, size_t cap);
int32_t tt_guard(tt_gateway *gateway, const tt_request *request, tt_verdict *verdict);

#endif
