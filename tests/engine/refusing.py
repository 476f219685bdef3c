"""A manager that takes three keys, and refuses all else by a ValueError."""


class Three:
    async def get_key(self, model_name):
        return ""

    async def update_usage(self, model_name, key):
        return False


def make(api_keys, vertex_api_keys):
    if len(api_keys) != 3:
        raise ValueError("three keys, please")
    return Three()
