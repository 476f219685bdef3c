"""One name for each setting, and what must not be shown."""

import pytest

from keyconform_reference.settings import HIDDEN, Settings, canonical, is_secret, redacted


@pytest.mark.parametrize(
    "name, one",
    [
        ("maxRetries", "max_retries"),
        ("MAX_RETRIES", "max_retries"),
        ("max-retries", "max_retries"),
        ("HTTPTimeoutS", "http_timeout_s"),
        ("apiURL", "api_url"),
        ("APIKey", "api_key"),
        ("model2Name", "model2_name"),
    ],
)
def test_names_have_one_form(name, one):
    """Words are told by capitals, underscores and dashes, and an acronym is one word."""
    assert canonical(name) == one


def test_the_newest_of_one_name_stands():
    """Spellings of one name are one setting, whose last value counts; doing it again changes nothing."""
    settings = Settings()
    assert settings.update({"maxRPM": 1, "max_rpm": 2, "model": "m1"}) == {"max_rpm": 2, "model": "m1"}
    assert settings.update({"max_r_p_m": 3}) == {"max_rpm": 3, "model": "m1"}
    assert settings.update({"max_r_p_m": 3}) == {"max_rpm": 3, "model": "m1"}


@pytest.mark.parametrize(
    "name", ["apiKey", "API_KEY", "apikey", "openaiApiKey", "OPENAI_API_KEY", "authToken", "password", "privateKey"]
)
def test_secrets_are_told_in_any_casing(name):
    """A secret is one however it is spelt, and is hidden."""
    assert is_secret(name)
    assert redacted({name: "sk-1"}) == {name: HIDDEN}


@pytest.mark.parametrize(
    "name", ["max_retries", "maxTokens", "tokenizer", "model", "keyboard", "primary_key", "monkey"]
)
def test_other_names_are_no_secrets(name):
    """A name that only looks like one is shown."""
    assert not is_secret(name)
    assert redacted({name: 3}) == {name: 3}
