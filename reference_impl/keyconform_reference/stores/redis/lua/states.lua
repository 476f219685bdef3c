-- What is known of a key, and what it spent for a model: packed arrays, each in one field of a hash.

-- A key: its places in the array.
local STRIKES, STRUCK, REMOVED, OUTS, LAST_OUT, TOKEN, HELD_UNTIL, RESERVED_FOR = 1, 2, 3, 4, 5, 6, 7, 8
-- A use: MINUTE_SPENT and DAY_SPENT are tallies, RESERVED is {second, count, second, count, ...}.
local MINUTE_SPENT, DAY_SPENT, LAST_USED, MARKED, LAST_MARK, MARKS, RESERVED, CARRIED = 1, 2, 3, 4, 5, 6, 7, 8

local function comeback_of(steps, earlier)
  if #steps == 0 then return INF end
  return now + steps[math.min(earlier + 1, #steps)]
end

local function mark_ends(earlier)
  if O.quota == 'minute' then
    return O.minute == 'fixed' and minute_start(now) + MINUTE or now + MINUTE
  end
  if O.quota == 'day' then
    return O.rolling_day and now + DAY or day_end
  end
  return comeback_of(O.quota, earlier)
end

local function settle(state, time)
  if state[STRUCK] > FREE and state[STRUCK] <= time then
    state[STRIKES], state[STRUCK] = 0, FREE
  end
  if state[REMOVED] <= time then state[REMOVED] = FREE end
  if state[TOKEN] ~= 0 and state[HELD_UNTIL] <= time then state[TOKEN] = 0 end
  return state
end

-- A key of which nothing is known is kept as an empty string.
local function state_of(packed)
  if packed == '' then return {0, FREE, FREE, 0, FREE, 0, FREE, ''} end
  return settle(unpack_record(packed), now)
end

local function strike(state)
  state[STRIKES] = state[STRIKES] + 1
  if state[STRIKES] < O.threshold then return end
  if state[STRUCK] == FREE then
    state[OUTS] = now - state[LAST_OUT] < QUIET and state[OUTS] + 1 or 1
  end
  state[STRUCK] = comeback_of(O.strike, state[OUTS] - 1)
  state[LAST_OUT] = state[STRUCK]
end

local function is_valid(state)
  return state[STRUCK] <= now and state[REMOVED] <= now
end

local function state_free_at(state)
  local when = math.max(state[STRUCK], state[REMOVED])
  if state[TOKEN] ~= 0 then when = math.max(when, state[HELD_UNTIL]) end
  return when > now and when or FREE
end

local function shift_state(state, before)
  settle(state, before)
  for _, place in ipairs({LAST_OUT, STRUCK, REMOVED, HELD_UNTIL}) do
    state[place] = later(state[place], before)
  end
  return state
end

local function new_use(limits)
  return {Minute.new(limits.rpm, limits.tpm), Day.new(), false, FREE, FREE, 0, {}, false}
end

local function add_use(use, requests, tokens)
  if requests ~= 0 or tokens ~= 0 then
    Minute.add(use[MINUTE_SPENT], requests, tokens)
    Day.add(use[DAY_SPENT], requests, 0)
  end
end

local function used(use)
  local requests, tokens = Minute.used(use[MINUTE_SPENT])
  return requests, tokens, (Day.used(use[DAY_SPENT]))
end

local function clear_use(use)
  use[MINUTE_SPENT], use[DAY_SPENT] = Minute.clear(use[MINUTE_SPENT]), Day.clear(use[DAY_SPENT])
  use[RESERVED] = {}
end

local function mark(use, retry_after)
  if retry_after then
    use[MARKED] = math.max(use[MARKED], now + retry_after)
  else
    if now - use[LAST_MARK] > QUIET then use[MARKS] = 0 end
    use[MARKED] = math.max(use[MARKED], mark_ends(use[MARKS]))
    use[MARKS] = use[MARKS] + 1
  end
  use[LAST_MARK] = use[MARKED]
end

local function lift(use)
  use[MARKED], use[MARKS] = FREE, 0
end

local function reserved(use, time)
  local list = use[RESERVED]
  while list[1] and list[1] + MINUTE <= (time or now) do
    table.remove(list, 1)
    table.remove(list, 1)
  end
  local count = 0
  for place = 2, #list, 2 do count = count + list[place] end
  return count
end

local function reserve(use)
  local list, second = use[RESERVED], math.floor(now)
  local size = #list
  if size > 0 and list[size - 1] == second then
    list[size] = list[size] + 1
  else
    list[size + 1], list[size + 2] = second, 1
  end
end

local function unreserve(use)
  if reserved(use) == 0 then return end
  local list = use[RESERVED]
  list[2] = list[2] - 1
  if list[2] == 0 then
    table.remove(list, 1)
    table.remove(list, 1)
  end
end

local function window_free_at(tally, spent, requests, tokens, held, oldest)
  if requests == 0 or tokens == 0 then return INF end
  local left = requests and requests - held
  local used_requests, used_tokens = tally.used(spent)
  if below(used_requests, used_tokens, left, tokens) then return FREE end
  local by_report = held > 0 and oldest + MINUTE or INF
  local by_window = left and left <= 0 and INF or tally.frees_at(spent, left, tokens)
  return math.min(by_report, by_window)
end

local function use_free_at(use, limits, holds_back)
  local held = holds_back and reserved(use) or 0
  local marked = use[MARKED] > now and use[MARKED] or FREE
  local oldest = use[RESERVED][1]
  local minute = window_free_at(Minute, use[MINUTE_SPENT], limits.rpm, limits.tpm, held, oldest)
  local day = window_free_at(Day, use[DAY_SPENT], limits.rpd, nil, held, oldest)
  return math.max(marked, minute, day)
end

local function shift_use(use, before)
  reserved(use, before)
  for place = 1, #use[RESERVED], 2 do
    use[RESERVED][place] = use[RESERVED][place] - before + now
  end
  use[MINUTE_SPENT] = Minute.shift(use[MINUTE_SPENT], before)
  use[DAY_SPENT] = Day.shift(use[DAY_SPENT], before)
  use[LAST_MARK], use[MARKED] = later(use[LAST_MARK], before), later(use[MARKED], before)
  if use[LAST_USED] then use[LAST_USED] = math.min(use[LAST_USED], now) end
end
