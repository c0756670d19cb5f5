"""How people call each edit: eight names to learn from, and three more that are only ever asked for."""

from __future__ import annotations

HELD_OUT_NAMES = 3
"""The last names of each edit, which no training caption has."""

_NAMES = {
    "sepia": (
        "sepia tone; sepia; brown antique tint; old brown photograph; sepia toning; nineteenth century brown print; "
        "brownish monochrome; warm brown old-time look; antique sepia photograph; yellowed brown heirloom picture; "
        "tea-stained brown tone"
    ),
    "monochrome": (
        "black and white; greyscale; monochrome grey; no colours at all; black and white photograph; grey tones only; "
        "desaturated to grey; classic black and white film; grayscale conversion; colourless grey picture; all colour "
        "removed"
    ),
    "night": (
        "cool night; dark blue night; moonlight; night-time look; cold blue darkness; day for night; midnight blue "
        "mood; moonlit scene; blue moonlight at midnight; cold night scene; darkened into blue night"
    ),
    "sunset": (
        "warm sunset; golden hour light; orange evening light; sunset colours; warm orange glow; late evening sun; "
        "warm golden tint; amber light; orange sundown tint; light of the setting sun; warm amber evening"
    ),
    "negative": (
        "photographic negative; inverted colours; film negative; colour inversion; negative image; all colours "
        "reversed; light turned to dark; undeveloped negative; colour negative film; inverted picture; reversed tones "
        "like a negative"
    ),
    "faded": (
        "faded vintage film; washed-out old print; faded photograph; pale retro film; low contrast vintage look; "
        "bleached old snapshot; matte faded film; sun-bleached print; faded warm photograph; washed-out retro "
        "snapshot; pale aged film"
    ),
    "contrast": (
        "high contrast; punchy contrast; harsh contrast; boosted contrast; deep blacks beside bright whites; dramatic "
        "contrast; contrast enhancement; contrasty look; increased contrast; stark darks against lights; hard "
        "contrasty tones"
    ),
    "solarise": (
        "solarised; solarisation; bright areas inverted; solarised photograph; sabattier effect; highlights reversed; "
        "solarize filter; darkroom solarisation; solarized highlights; man ray solarisation; bright tones flipped"
    ),
    "posterise": (
        "posterised; few flat colours; poster colours; posterisation; reduced colour levels; screen print in flat "
        "colours; colour banding; four levels a colour; posterized colours; flat poster print; colours cut to a "
        "handful"
    ),
    "vivid": (
        "vivid colours; saturated colours; colour boost; colour saturation; bright candy colours; very colourful "
        "look; high saturation; rich vibrant colours; vibrant saturated look; colours turned up; oversaturated "
        "picture"
    ),
    "forest": (
        "green tint; forest green cast; green light; green colour cast; mossy green tone; green filter; jungle green "
        "look; everything tinted green; greenish tint; deep forest green filter; green wash over the picture"
    ),
    "violet": (
        "violet haze; purple tint; magenta colour cast; lilac tone; purple filter; violet light; everything tinted "
        "purple; lavender cast; purplish haze; violet colour filter; picture bathed in purple"
    ),
    "cinema": (
        "teal orange film grade; cinematic colour grading; blockbuster colours; teal shadows under orange highlights; "
        "movie colour grade; hollywood colour look; teal orange split toning; cinema colours; cinematic teal orange "
        "look; film grading in teal; colours of an action movie"
    ),
    "cyanotype": (
        "cyanotype; blueprint; prussian blue print; blue monochrome print; cyanotype photograph; blue sun print; "
        "blueprint paper look; white on blue print; cyanotype printing in blue; architect's blueprint; antique blue "
        "sun print"
    ),
    "infrared": (
        "infrared film; false colour infrared; red foliage; infrared photograph; leaves turned red; aerochrome film; "
        "swapped red channel; surreal infrared colours; colour infrared film; green turned into red; aerochrome false "
        "colours"
    ),
    "duotone": (
        "purple yellow duotone; duotone; two-colour gradient; duotone print; purple shadows under yellow lights; "
        "gradient map from purple to yellow; streaming cover duotone; two-tone colouring; duotone poster in two inks; "
        "two-colour purple print; yellow over purple gradient map"
    ),
    "thermal": (
        "thermal camera; heat map; thermal imaging; infrared heat vision; thermography; heat camera colours; "
        "temperature map; predator vision; thermal heat vision; colours of a heat map; thermographic picture"
    ),
    "overexposed": (
        "overexposed; blown-out highlights; high key; too much light; brightened picture; overexposure; bright airy "
        "look; long exposure in full sun; overexposed bright photo; high-key brightness; flooded by light"
    ),
    "underexposed": (
        "underexposed; low key; too little light; dark gloomy look; darkened picture; underexposure; deep shadows "
        "everywhere; dim light; underexposed dark photo; low-key gloom; barely lit scene"
    ),
    "blur": (
        "soft blur; gaussian blur; out of focus; blurred picture; defocus; smooth blur; blurry look; soft focus "
        "without detail; gaussian smoothing; unfocused lens; softly blurred photo"
    ),
    "sharpen": (
        "sharpened details; sharpening; crisp edges; unsharp mask; extra sharp; clarity boost; oversharpened look; "
        "enhanced detail; sharper crisp details; sharpen filter; edges made crisp"
    ),
    "motion": (
        "motion blur; horizontal streaks; fast movement blur; camera shake sideways; speed blur; panning blur; moving "
        "camera; smeared sideways; sideways motion blur; blurred by fast motion; horizontal movement smear"
    ),
    "emboss": (
        "emboss relief; embossed; grey relief; stamped metal; bas-relief; raised edges on grey; embossing; carved "
        "stone relief; embossed grey metal; relief stamped into grey; chiselled bas-relief"
    ),
    "pencil": (
        "pencil sketch; pencil drawing; graphite sketch; hand-drawn pencil lines; sketch on white paper; grey pencil "
        "strokes; lead pencil artwork; artist's sketch; graphite pencil drawing; sketched in pencil; pencil lines on "
        "paper"
    ),
    "ink": (
        "ink outlines; line drawing; black contour lines; pen drawing; outlines on white; fine pen outlines; "
        "technical pen drawing; colouring book lines; nib pen outlines; contour line drawing; thin black outlines"
    ),
    "neon": (
        "neon edges; glowing outlines; neon lines on black; glowing edges in the dark; fluorescent contours; neon "
        "sign outlines; electric glowing lines; bright edges over black; glowing neon contours; luminous outlines on "
        "black; neon light drawing"
    ),
    "oil": (
        "oil painting; painted in oil; thick brush strokes; oil on canvas; painterly patches; impasto painting; old "
        "master painting; daubs of oil paint; oil paint on canvas; broad brushes of oil; painterly oil strokes"
    ),
    "watercolour": (
        "watercolour wash; watercolour painting; light aquarelle; wet paint bleeding on paper; pale watercolour; "
        "aquarelle on white paper; washes of thin paint; painted in watercolour; watercolor aquarelle; delicate "
        "watercolour washes; bleeding aquarelle paint"
    ),
    "cartoon": (
        "cartoon; comic book; cel shading; flat colours inside dark outlines; animated film frame; comic strip "
        "drawing; toon shading; graphic novel panel; cartoon drawing; comic book panel; cel-shaded animation"
    ),
    "linocut": (
        "linocut; woodcut print; block print; black ink relief print; carved lino print; woodblock; stark carved "
        "black print; rubber stamp print; linocut block print; woodcut in black ink; print from a carved block"
    ),
    "bloom": (
        "dreamy glow; bloom; glowing highlights; soft halo around lights; diffusion filter; hazy light bloom; angelic "
        "glow; light bleeding from bright areas; dreamy bloom; halo of soft light; glowing hazy lights"
    ),
    "anaglyph": (
        "red cyan anaglyph; three-dimensional glasses picture; misregistered colour print; anaglyph stereo; shifted "
        "red channel; colour fringes left of edges; red cyan offset; stereo picture for red glasses; anaglyph for "
        "stereo glasses; red ghosts beside cyan ones; misaligned colour channels"
    ),
    "halftone": (
        "halftone dots; newspaper print; halftone; dot screen print; printed in black dots; newsprint dots; dotted "
        "comic print; raster dots; halftone newspaper dots; black dot raster print; printed dot raster"
    ),
    "vignette": (
        "vignette; dark corners; darkened edges; vignetting; shaded corners; spotlight on the centre; burned edges; "
        "black fall-off to the corners; dark vignette corners; corners fading to black; shading around the frame"
    ),
    "light-leak": (
        "light leak; orange light leak on the left; leaking camera back; film burn from the left; sun flare at the "
        "left edge; orange film burn; toy camera light leak; glow entering from the left; orange leak of light; left "
        "edge burned by light; light leaking into the film"
    ),
    "tilt-shift": (
        "tilt-shift miniature; tilt-shift; miniature model look; blurred top beside blurred bottom; toy town effect; "
        "narrow band of focus; fake miniature; selective focus across the middle; tilt-shift lens blur; toy miniature "
        "focus band; only the middle in focus"
    ),
}
WORDINGS: dict[str, tuple[str, ...]] = {edit: tuple(names.split("; ")) for edit, names in _NAMES.items()}
"""In lower case, as prompts are read."""
