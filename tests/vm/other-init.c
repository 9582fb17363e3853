/* Stands in for AWS's init in the tests: it is the first process, prepares the machine, says the
 * heartbeat, starts the program as a child, and resets the machine when that ends. */
#include <linux/reboot.h>
#include <linux/vm_sockets.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void)
{
    const char *const mounts[][2] = {{"/dev", "devtmpfs"}, {"/proc", "proc"}, {"/sys", "sysfs"}};
    for (int i = 0; i < 3; i++) {
        mkdir(mounts[i][0], 0755);
        mount(mounts[i][1], mounts[i][0], mounts[i][1], 0, NULL);
    }
    struct sockaddr_vm parent = {.svm_family = AF_VSOCK, .svm_cid = 2, .svm_port = 9000};
    unsigned char beat = 0xb7;
    int heart = socket(AF_VSOCK, SOCK_STREAM, 0);
    if (connect(heart, (struct sockaddr *)&parent, sizeof parent) || write(heart, &beat, 1) != 1 || read(heart, &beat, 1) != 1)
        puts("no heartbeat");
    close(heart);

    pid_t child = fork();
    if (child == 0) {
        execl("/program", "/program", (char *)NULL);
        return 1;
    }
    int status = 0;
    waitpid(child, &status, 0);
    printf("the program ended with %d\n", WEXITSTATUS(status));
    fflush(stdout);
    sleep(1);
    reboot(RB_AUTOBOOT);
    return 1;
}
