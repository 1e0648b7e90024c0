"""The autoencoder between pictures and latents."""

from eraser_goldens import Golden, autoencoder, each_golden


@each_golden("vae")
def test_moments_and_decoded_picture(golden_path):
    golden = Golden(golden_path)
    vae = autoencoder(golden.meta["vae_config"], golden.meta["weight_seed"])
    mean, std = vae.moments(golden.tensor("image").clamp(-1, 1))
    golden.check_all({"mean": mean, "std": std, "decoded": vae.decode(mean)})
    assert vae.scaling == golden.meta["vae_config"].get("scaling_factor", 0.18215)
