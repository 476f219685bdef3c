-- The names of everything kept, and the time of this call. O, the options, is written before this file.
local INF, FREE, MINUTE, DAY, QUIET = math.huge, 0, 60, 86400, 86400
-- Clocks of several machines differ by this much at most. Who is behind waits for the one ahead.
local SKEW = 5
local call, pack, unpack_record = redis.call, cmsgpack.pack, cmsgpack.unpack

local BASE = KEYS[1]

-- Packed numbers: no text is parsed, and none is rounded. What is not given is not a number.
local now, told_before, day_start, day_end = struct.unpack('<dddd', ARGV[1])
local kept_at, kept_start, kept_end = -INF, 0, 0

local function given(number)
  if number == number then return number end
end

local function exact(number)
  return string.format('%.17g', number)
end

local function keep_time()
  call('SET', BASE .. ':at', struct.pack('ddd', now, day_start, day_end))
end

-- Tell whether the clock was set back; what it would show else is then in `set_back`. No window is ever reopened by a
-- caller whose clock is slightly behind: its time is then the latest that was seen.
local set_back

local function read_time()
  local kept = call('GET', BASE .. ':at')
  if kept then kept_at, kept_start, kept_end = struct.unpack('ddd', kept) end
  if now < kept_at then
    set_back = given(told_before)
    if not set_back and kept_at - now > SKEW then set_back = kept_at + MINUTE end
    if set_back then return true end
    now, day_start, day_end = kept_at, kept_start, kept_end
  elseif now > kept_at and (not LOOKS or now - kept_at >= 1) then
    keep_time()
  end
  return false
end

local function minute_start(time)
  return time - math.fmod(time, MINUTE)
end

local function later(until_, before)
  return until_ > before and until_ - before + now or FREE
end
