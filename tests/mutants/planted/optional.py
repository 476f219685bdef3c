"""Planted bugs of LIVE08 and CFG02."""

from __future__ import annotations

from twins.optional import ChecksAndHides

from planted.registry import planted


class StopsAtTheFirst(ChecksAndHides):
    """The first bad key ends the loop."""

    async def bulk(self, keys):
        told = {}
        for key in keys:
            told[key] = await self._checked(key)
            if told[key] is not None:
                break
        return told


class ErrorsSwallowed(ChecksAndHides):
    """Errors are answered as None."""

    async def bulk(self, keys):
        return dict.fromkeys(await super().bulk(keys))


class OneCasing(ChecksAndHides):
    """Names are looked for in one casing."""

    def is_secret(self, name):
        return name.endswith("api_key")


class AnyPart(ChecksAndHides):
    """Everything with a capital letter is a secret."""

    def is_secret(self, name):
        return "key" in name.lower() or name != name.lower()


MUTANTS = (
    planted("LIVE08", StopsAtTheFirst),
    planted("LIVE08", ErrorsSwallowed),
    planted("CFG02", OneCasing),
    planted("CFG02", AnyPart),
)
