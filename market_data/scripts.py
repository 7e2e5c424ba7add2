"""What Redis does in one step for the bus, in Lua."""

# One step: refuse a deposed owner, tell the hubs, keep the packets for the recorder.
PUBLISH = """
local fence = tonumber(redis.call('GET', KEYS[1]) or '0')
if fence > tonumber(ARGV[1]) then return 0 end
if fence < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], ARGV[1]) end
if ARGV[2] ~= '' then redis.call('PUBLISH', KEYS[2], ARGV[2]) end
if ARGV[3] ~= '' then redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[4], '*', 'b', ARGV[3]) end
return 1
"""
SNAPSHOT = """
local fence = tonumber(redis.call('GET', KEYS[1]) or '0')
if fence > tonumber(ARGV[1]) then return 0 end
redis.call('MSET', KEYS[2], ARGV[2], KEYS[3], ARGV[3])
return 1
"""
# One command and one value for many blobs: to pack each by itself costs the caller more than the copying.
PUT_BLOBS = """
local start = 1
for place, key in ipairs(KEYS) do
  local length = tonumber(ARGV[place * 3 + 2])
  redis.call('SET', key, string.sub(ARGV[2], start, start + length - 1), 'EX', ARGV[1])
  redis.call('PUBLISH', ARGV[place * 3], ARGV[place * 3 + 1])
  start = start + length
end
"""
