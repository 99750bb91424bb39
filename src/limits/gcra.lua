-- The generic cell rate algorithm. KEYS[1]: the time at which the bucket is full again, in microseconds of the server's
-- clock. ARGV: units to take, the size of the bucket, the time in microseconds in which an empty one becomes full.
-- Returns 1 or 0 for taken or not, the units that are left, and the microseconds to wait.
local units, size, period = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local interval = period / size
local full = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now)
local next = full + units * interval
-- A part of a unit, for what rounding loses.
local slack = interval / 1000
local over = next - now - period
if over > slack then
  return {0, math.max(0, math.floor((period - (full - now) + slack) / interval)), math.ceil(over)}
end
if units > 0 then
  redis.call('SET', KEYS[1], string.format('%.3f', next), 'PX', math.ceil((next - now) / 1000) + 1000)
end
return {1, math.max(0, math.floor((period - (next - now) + slack) / interval)), 0}
