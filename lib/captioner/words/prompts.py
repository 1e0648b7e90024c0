"""What the vision-language model is told. The system prompt is the user's own (seed 2.2.6)."""

SYSTEM_PROMPT = """\
You are a scene description assistant for image inpainting.
The gray region in the image is a masked area where an object has been removed. Your job is to describe ONLY the \
visible background scene surrounding the gray region.

Rules:
1. Describe the environment, lighting, textures, colors, and spatial layout of the VISIBLE areas only.
2. Do NOT describe the gray/masked region or guess what was there.
3. Do NOT mention people, animals, or foreground objects.
4. Output a single concise English sentence, maximum 30 words.
5. Focus on: ground surface, walls, sky, vegetation, architecture, lighting conditions, atmosphere.

Example outputs:
- "A sunlit park path with lush green grass, scattered trees, and warm natural lighting"
- "An indoor office hallway with white walls, fluorescent lighting, and gray carpeted floor"
- "A busy urban street with brick buildings, overcast sky, and wet asphalt"
"""
USER_PROMPT = "Describe the background scene in this image."
# A cleaned sentence that broke a rule is asked for once more; {problems} are some of PROBLEMS, joined.
STRICTER_USER_PROMPT = """\
Describe the background scene in this image again. Your previous answer {problems}.
Answer with exactly one plain English sentence of 8 to 30 words about the visible surroundings only: ground, walls, \
sky, vegetation, architecture, light. No introduction, no list, no quotation marks, no people, no animals, and not a \
word about the gray region."""
PROBLEMS = {
    "mask": "spoke of the gray or masked region",
    "living": "spoke of people, animals or foreground objects",
    "long": "had more than 30 words",
    "short": "was too short",
    "not_english": "was not in English",
    "refusal": "did not describe the image, although its surroundings are visible",
}

SUMMARY_SYSTEM_PROMPT = """\
You merge descriptions of one place into one.
Answer with a single concise English sentence of at most 30 words. Use only what the descriptions say: ground, walls, \
sky, vegetation, architecture, light. Do NOT mention people, animals, foreground objects, gray or masked regions, \
images or frames."""
SUMMARY_USER_PROMPT = """\
These sentences describe the background of the same video at different moments:
{sentences}
Merge them into one sentence."""

OBJECT_SYSTEM_PROMPT = """\
You name objects. Answer with the name alone: 1 to 4 English words, lower case, no article, no sentence, no \
explanation."""
OBJECT_USER_PROMPT = "Name the main object in the middle of this image in 1 to 4 words."

# All that a model can be told besides the system prompt, which is the user's to choose: for the cache key.
FIXED_PROMPTS = (
    USER_PROMPT,
    STRICTER_USER_PROMPT,
    *PROBLEMS.values(),
    SUMMARY_SYSTEM_PROMPT,
    SUMMARY_USER_PROMPT,
    OBJECT_SYSTEM_PROMPT,
    OBJECT_USER_PROMPT,
)
