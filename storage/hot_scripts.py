"""The Lua of hot state on Redis: each script is one step that no other node can come between.

Times inside are Redis' own clock in milliseconds, so that nodes whose clocks differ agree on who is present.
"""

POSITION_TTL_MS = 6 * 3600 * 1000
TRACK_TTL_MS = 30 * 3600 * 1000
REVOKED_AT_LEAST_S = 900.0

_NOW = "local t = redis.call('TIME') local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"

# The newest word of a person; a word without a place keeps the place known before.
SAY = (
    _NOW
    + """
local new = cjson.decode(ARGV[2])
local before = redis.call('HGET', KEYS[1], ARGV[1])
if before then
    local old = cjson.decode(before)
    if old.at > new.at then return 0 end
    if new.cell == cjson.null then new.cell = old.cell new.cell_at = old.cell_at end
end
redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(new))
redis.call('ZADD', KEYS[2], now, ARGV[1])
return 1
"""
)

# KEYS: until (person -> end of the longest lease), seen, leases of this person. Leases that ran out go on the way.
_LEASE = """
local longest = 0
local all = redis.call('HGETALL', KEYS[3])
for i = 1, #all, 2 do
    if tonumber(all[i + 1]) <= now then redis.call('HDEL', KEYS[3], all[i])
    else longest = math.max(longest, tonumber(all[i + 1])) end
end
redis.call('ZADD', KEYS[2], now, ARGV[1])
"""
HOLD = (
    _NOW
    + """
local ends = redis.call('ZSCORE', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[3], ARGV[2], now + tonumber(ARGV[3]))
"""
    + _LEASE
    + """
redis.call('ZADD', KEYS[1], longest, ARGV[1])
redis.call('PEXPIRE', KEYS[3], longest - now + 60000)
if ends and tonumber(ends) > now then return 0 end
return 1
"""
)
RELEASE = (
    _NOW
    + """
if redis.call('HEXISTS', KEYS[3], ARGV[2]) == 0 then return 0 end
redis.call('HSET', KEYS[3], ARGV[2], now + tonumber(ARGV[3]))
"""
    + _LEASE
    + """
redis.call('ZADD', KEYS[1], longest, ARGV[1])
return 1
"""
)

# KEYS: said, seen, until. ARGV: people, or nothing for everybody.
PRESENCES = (
    _NOW
    + """
local people = ARGV
if #people == 0 then people = redis.call('ZRANGE', KEYS[2], 0, -1) end
local rows = {}
for i, person in ipairs(people) do
    local ends = redis.call('ZSCORE', KEYS[3], person)
    local here = 0
    if ends and tonumber(ends) > now then here = 1 end
    rows[i] = {person, redis.call('HGET', KEYS[1], person) or '', redis.call('ZSCORE', KEYS[2], person) or '', here}
end
return rows
"""
)

# KEYS: until, said, seen. Whoever lapsed is returned to this caller alone; those long gone are forgotten.
LAPSE = (
    _NOW
    + """
local gone = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)
for _, person in ipairs(gone) do redis.call('ZREM', KEYS[1], person) end
for _, person in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now - tonumber(ARGV[1]), 'LIMIT', 0, 200)) do
    if not redis.call('ZSCORE', KEYS[1], person) then
        redis.call('ZREM', KEYS[3], person)
        redis.call('HDEL', KEYS[2], person)
    end
end
return gone
"""
)

PUT = """
local n = redis.call('HGET', KEYS[1], 'n')
if n and tonumber(n) >= tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'n', ARGV[1], 'p', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
"""

# Returns the new token and the last snapshot. ARGV[1]: the least token, for a claim made while Redis was away.
CLAIM = """
local token = math.max(tonumber(redis.call('HGET', KEYS[1], 'token') or 0) + 1, tonumber(ARGV[1]))
redis.call('HSET', KEYS[1], 'token', token)
redis.call('PEXPIRE', KEYS[1], 108000000)
return {token, redis.call('HGET', KEYS[1], 'snapshot') or ''}
"""

# Returns 0 when saved, else the token that stands in the way.
SAVE = """
local token = tonumber(redis.call('HGET', KEYS[1], 'token') or 0)
if tonumber(ARGV[1]) < token then return token end
redis.call('HSET', KEYS[1], 'token', ARGV[1], 'snapshot', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 0
"""

TAKE = (
    _NOW
    + """
local burst, per_s, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local kept = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = tonumber(kept[1]) or burst
local at = tonumber(kept[2]) or now
tokens = math.min(burst, tokens + math.max(0, now - at) / 1000 * per_s)
local wait = 0
if tokens >= cost then tokens = tokens - cost else wait = (cost - tokens) / per_s end
redis.call('HSET', KEYS[1], 'tokens', tokens, 'at', now)
redis.call('PEXPIRE', KEYS[1], math.ceil(burst / per_s * 1000) + 1000)
return tostring(wait)
"""
)

SCRIPTS = {
    "say": SAY,
    "hold": HOLD,
    "release": RELEASE,
    "presences": PRESENCES,
    "lapse": LAPSE,
    "put": PUT,
    "claim": CLAIM,
    "save": SAVE,
    "take": TAKE,
}
