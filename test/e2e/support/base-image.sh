#!/bin/sh
# Makes the root file system of an image that the Dockerfile can build from: the Debian packages of this machine that it needs, as they are
# installed, this machine's certificates, a Node.js and npm. Prints it as a tar.
# usage: base-image.sh NODE FOLDER
set -eu
node=$1
root=$2

essential=$(dpkg-query --show --showformat '${Essential} ${Package}\n' | sed -n 's/^yes //p')
packages=$(apt-cache depends --recurse --installed --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
  --no-enhances $essential binutils libstdc++6 | grep '^[a-z0-9]' | sort -u)

mkdir -p "$root/usr/local/bin" "$root/usr/local/lib"
# dpkg lists some files below links to the folders that they are in.
{
  for link in /bin /sbin /lib /lib64 /etc/ssl/certs/ca-certificates.crt; do echo "$link"; done
  dpkg-query --listfiles $packages | sed -E 's,^/(s?bin|lib(32|64|x32)?)/,/usr/\1/,' |
    grep -Ev '^/(s?bin|lib(32|64|x32)?|\.|usr/share/(doc|man|info|locale)/.*)$'
} | sort -u | while read -r path; do
  if [ -e "$path" ] || [ -L "$path" ]; then echo "${path#/}"; fi
done | tar --create --directory / --no-recursion --files-from - | tar --extract --directory "$root"

cp "$node" "$root/usr/local/bin/node"
cp -R "$(dirname "$(realpath "$(command -v npm)")")/.." "$root/usr/local/lib/npm"
ln -s ../lib/npm/bin/npm-cli.js "$root/usr/local/bin/npm"
tar --create --directory "$root" .
