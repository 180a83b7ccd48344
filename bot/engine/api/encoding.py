"""From a call's messages to a prompt, with what there is against them in the API's form."""

from collections.abc import Sequence

from bot.engine.api.api_error import ApiError
from bot.engine.chat.prompt import Prompt
from bot.engine.chat.template import Extras, Message, TemplateFailure
from bot.engine.service import EngineService
from bot.engine.sight.decoder import PictureRefused
from bot.engine.types import Request


async def encode_messages(service: EngineService, messages: Sequence[Message], extras: Extras) -> Prompt:
    """Return the tokens of a conversation and what stands for its pictures, which are not computed yet."""
    if not service.facts.mmproj and any(message.pictures for message in messages):
        message = "This engine reads text only: it was started without an mmproj (MODEL_MMPROJ)."
        raise ApiError(400, message, param="messages", code="pictures_not_supported")
    try:
        return await service.encode_chat(messages, extras)
    except TemplateFailure as error:
        raise ApiError(400, f"{str(error)[:300]}.", param="messages", code="template_error") from error
    except PictureRefused as error:
        raise _refuse(error) from error


async def see(service: EngineService, requests: Sequence[Request]) -> None:
    """Compute the pictures of requests that have the same ones."""
    try:
        await service.see(requests[0])
    except PictureRefused as error:
        raise _refuse(error) from error


def _refuse(error: PictureRefused) -> ApiError:
    return ApiError(400, f"A picture {str(error)[:300]}.", param="messages", code="invalid_picture")
