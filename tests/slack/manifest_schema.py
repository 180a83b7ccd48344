"""What Slack takes as an app manifest, as a JSON Schema.

The limits are those of Slack's published schema (slackapi/manifest-schema, manifest.schema.2.0.0.json, read on
2026-11-28), for the parts that an app like ours can have; nothing else may stand in ours.
"""

from typing import Any

Schema = dict[str, Any]
URL = "^https?://"


def text(least: int | None, most: int, **more: Any) -> Schema:
    """Build the schema of a text with its lengths."""
    return {"type": "string", "maxLength": most, **({} if least is None else {"minLength": least}), **more}


def thing(properties: dict[str, Schema], required: tuple[str, ...] = ()) -> Schema:
    """Build the schema of an object that has nothing else."""
    return {"type": "object", "additionalProperties": False, "required": list(required), "properties": properties}


def several(items: Schema, *, least: int = 0, most: int, unique: bool = False) -> Schema:
    """Build the schema of a list."""
    return {"type": "array", "items": items, "minItems": least, "maxItems": most, "uniqueItems": unique}


FLAG: Schema = {"type": "boolean"}
PROMPT = thing({"title": {"type": "string"}, "message": {"type": "string"}}, ("title", "message"))
ACTION = thing({"name": {"type": "string"}, "description": {"type": "string"}}, ("name", "description"))
SHORTCUT = thing(
    {
        "name": text(1, 24),
        "type": {"enum": ["message", "global"]},
        "callback_id": text(1, 255),
        "description": text(1, 150),
    },
    ("name", "type", "callback_id", "description"),
)
COMMAND = thing(
    {
        "command": text(2, 32, pattern="^/"),
        "url": text(None, 3000, pattern=URL),
        "description": text(1, 2000),
        "usage_hint": text(1, 1000),
        "should_escape": FLAG,
    },
    ("command", "description"),
)
SCOPES = several(text(None, 50), most=255)
MANIFEST = thing(
    {
        "display_information": thing(
            {
                "name": text(1, 35),
                "description": text(1, 140),
                "background_color": text(4, 7, pattern="^#[0-9a-fA-F]{3}([0-9a-fA-F]{3})?$"),
                "long_description": text(175, 4000),
            },
            ("name",),
        ),
        "features": thing(
            {
                "agent_view": thing(
                    {
                        "agent_description": text(None, 300),
                        "suggested_prompts": several(PROMPT, most=4),
                        "actions": several(ACTION, most=1000),
                    }
                ),
                "app_home": thing(
                    {
                        "home_tab_enabled": FLAG,
                        "messages_tab_enabled": FLAG,
                        "messages_tab_read_only_enabled": FLAG,
                    }
                ),
                "bot_user": thing({"display_name": text(1, 80), "always_online": FLAG}, ("display_name",)),
                "shortcuts": several(SHORTCUT, least=1, most=10),
                "slash_commands": several(COMMAND, least=1, most=50),
            }
        ),
        "oauth_config": thing(
            {
                "redirect_urls": several(text(None, 2500), most=1000, unique=True),
                "scopes": thing({"bot": SCOPES, "bot_optional": SCOPES}),
            }
        ),
        "settings": thing(
            {
                "event_subscriptions": thing(
                    {
                        "request_url": text(None, 3500, pattern=URL),
                        "bot_events": several(text(None, 50), most=100, unique=True),
                    }
                ),
                "interactivity": thing(
                    {"is_enabled": FLAG, "request_url": text(None, 3500, pattern=URL)}, ("is_enabled",)
                ),
                "org_deploy_enabled": FLAG,
                "socket_mode_enabled": FLAG,
                "token_rotation_enabled": FLAG,
            }
        ),
    },
    ("display_information",),
)
