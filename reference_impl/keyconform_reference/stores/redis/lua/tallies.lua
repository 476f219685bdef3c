-- What was spent in one kind of window. A tally is an array, so that it packs; see tallies.py for what each means.
local function below(requests, tokens, most_requests, most_tokens)
  return (not most_requests or requests < most_requests) and (not most_tokens or tokens < most_tokens)
end

local MinuteSpan = {
  start = function() return minute_start(now) end,
  ends = function() return minute_start(now) + MINUTE end,
  was = function(before) return minute_start(before) end,
}

local DaySpan = {
  start = function() return day_start end,
  ends = function() return day_end end,
  -- Nothing was counted after the kept time: of a later day nothing is there.
  was = function(before) return before < kept_end and kept_start or before end,
}

-- {start of the span, requests, tokens}
local function fixed(span)
  local tally = {}
  function tally.new() return {-1, 0, 0} end
  tally.clear = tally.new
  function tally.add(spent, requests, tokens)
    local start = span.start()
    if start > spent[1] then
      spent[1], spent[2], spent[3] = start, 0, 0
    end
    spent[2], spent[3] = spent[2] + requests, spent[3] + tokens
  end
  function tally.used(spent)
    if span.start() > spent[1] then return 0, 0 end
    return spent[2], spent[3]
  end
  function tally.frees_at(spent, requests, tokens)
    local used_requests, used_tokens = tally.used(spent)
    return below(used_requests, used_tokens, requests, tokens) and now or span.ends()
  end
  function tally.shift(spent, before)
    if spent[1] == span.was(before) then
      spent[1] = span.start()
    else
      spent[1] = -1
    end
    return spent
  end
  return tally
end

-- {instant, requests, tokens, instant, requests, tokens, ...}, the oldest first
local STAMPS = 1024

local function merged(spent, grain)
  local kept, size = {}, 0
  for place = 1, #spent, 3 do
    if size > 0 and math.floor(kept[size - 2] / grain) == math.floor(spent[place] / grain) then
      kept[size - 2] = spent[place]
      kept[size - 1] = kept[size - 1] + spent[place + 1]
      kept[size] = kept[size] + spent[place + 2]
    else
      kept[size + 1], kept[size + 2], kept[size + 3] = spent[place], spent[place + 1], spent[place + 2]
      size = size + 3
    end
  end
  return kept
end

local function rolling(length)
  local tally = {}
  function tally.new() return {} end
  tally.clear = tally.new
  function tally.forget(spent, time)
    local gone, size = 0, #spent
    while gone < size and spent[gone + 1] + length <= time do gone = gone + 3 end
    if gone > 0 then
      for place = 1, size do spent[place] = spent[place + gone] end
    end
  end
  function tally.add(spent, requests, tokens)
    tally.forget(spent, now)
    local size = #spent
    if size > 0 and spent[size - 2] == now then
      spent[size - 1], spent[size] = spent[size - 1] + requests, spent[size] + tokens
      return
    end
    spent[size + 1], spent[size + 2], spent[size + 3] = now, requests, tokens
    if #spent > 3 * STAMPS then
      local kept = merged(spent, length / (STAMPS / 2))
      for place = 1, #spent do spent[place] = kept[place] end
    end
  end
  function tally.used(spent)
    tally.forget(spent, now)
    local requests, tokens = 0, 0
    for place = 1, #spent, 3 do
      requests, tokens = requests + spent[place + 1], tokens + spent[place + 2]
    end
    return requests, tokens
  end
  function tally.frees_at(spent, requests, tokens)
    local left_requests, left_tokens = tally.used(spent)
    local when = now
    for place = 1, #spent, 3 do
      if below(left_requests, left_tokens, requests, tokens) then break end
      left_requests, left_tokens = left_requests - spent[place + 1], left_tokens - spent[place + 2]
      when = spent[place] + length
    end
    return when
  end
  function tally.shift(spent, before)
    tally.forget(spent, before)
    for place = 1, #spent, 3 do spent[place] = spent[place] - before + now end
    return spent
  end
  return tally
end

-- {requests: level, pace, stamp, pace of the limit; tokens: the same}: what drains within a minute
local function bucket()
  local tally = {}
  local function level(spent, drain, time)
    if spent[drain] == 0 then return 0 end
    return math.max(0, spent[drain] - (time - spent[drain + 2]) * spent[drain + 1])
  end
  local function add(spent, drain, amount)
    local full = level(spent, drain, now) + amount
    if full == amount then spent[drain + 1] = spent[drain + 3] end
    spent[drain], spent[drain + 1], spent[drain + 2] = full, math.max(spent[drain + 1], full / MINUTE), now
  end
  local function used(spent, drain)
    return math.ceil(level(spent, drain, now) - 1e-6)
  end
  local function frees_at(spent, drain, limit)
    if not limit or used(spent, drain) < limit then return now end
    return now + (level(spent, drain, now) - (limit - 1)) / spent[drain + 1]
  end
  function tally.new(rpm, tpm)
    local requests, tokens = (rpm or 0) / MINUTE, (tpm or 0) / MINUTE
    return {0, requests, 0, requests, 0, tokens, 0, tokens}
  end
  function tally.clear(spent)
    return {0, spent[4], 0, spent[4], 0, spent[8], 0, spent[8]}
  end
  function tally.add(spent, requests, tokens)
    add(spent, 1, requests)
    add(spent, 5, tokens)
  end
  function tally.used(spent) return used(spent, 1), used(spent, 5) end
  function tally.frees_at(spent, requests, tokens)
    return math.max(frees_at(spent, 1, requests), frees_at(spent, 5, tokens))
  end
  function tally.shift(spent, before)
    for drain = 1, 5, 4 do
      spent[drain], spent[drain + 2] = level(spent, drain, before), now
    end
    return spent
  end
  return tally
end
