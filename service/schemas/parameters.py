"""Parameters of detect and mask: types, ranges and meaning. Defaults come from the settings."""

from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from service.settings import MaskMethod, Settings

__all__ = ["SETTING_OF", "DetectParameters", "ImageFormat", "MaskParameters", "default_parameters"]

ImageFormat = Literal["jpeg", "png", "webp"]

# Parameter: the setting that is its default.
SETTING_OF: Final = {
    "confidence": "confidence",
    "nms_threshold": "nms_threshold",
    "method": "blur_method",
    "strength": "blur_strength",
    "padding": "padding",
}


class DetectParameters(Struct, frozen=True, kw_only=True):
    """How to detect."""

    confidence: Annotated[
        float, Meta(ge=0.01, le=1.0, description="Minimum detection confidence.", examples=[0.6])
    ]
    nms_threshold: Annotated[
        float, Meta(ge=0.01, le=1.0, description="Non-maximum suppression IoU threshold.", examples=[0.4])
    ]
    max_faces: Annotated[
        int,
        Meta(ge=0, le=2**31 - 1, description="Most faces to return, the best first; 0 = all.", examples=[5]),
    ] = 0


class MaskParameters(DetectParameters, frozen=True, kw_only=True):
    """How to detect, mask and encode."""

    method: Annotated[
        MaskMethod,
        Meta(
            description=(
                "Masking method: `gaussian` blur, `pixelate`, `solid` black rectangle, `elliptical` blur in an ellipse."
            ),
            examples=["pixelate"],
        ),
    ]
    strength: Annotated[
        int,
        Meta(ge=1, le=999, description="Blur kernel size or pixelation block size, in px.", examples=[20]),
    ]
    padding: Annotated[
        float,
        Meta(
            ge=0.0, le=2.0, description="Widens the box on each side by this fraction of it.", examples=[0.3]
        ),
    ]
    format: Annotated[ImageFormat, Meta(description="Format of the masked picture.", examples=["png"])] = (
        "jpeg"
    )
    quality: Annotated[
        int,
        Meta(
            ge=1,
            le=100,
            description="Quality of the masked picture; PNG is lossless and takes no notice.",
            examples=[90],
        ),
    ] = 95


def default_parameters(struct: type[DetectParameters], settings: Settings) -> dict[str, Any]:
    """Those defaults of a struct's parameters that come from the settings."""
    return {
        name: getattr(settings, setting)
        for name, setting in SETTING_OF.items()
        if name in struct.__struct_fields__
    }
